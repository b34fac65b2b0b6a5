// A second click on a form that is on its way sends nothing. Without it the server answers both, and the second harmlessly.
let sent = new WeakSet();

document.addEventListener('submit', event => {
  // A form that is answered by a file stays on the page, and may be sent again.
  if (event.defaultPrevented || 'repeats' in event.target.dataset) return;
  if (sent.has(event.target)) event.preventDefault();
  else sent.add(event.target);
});

// A page that comes back from the browser's memory can be sent again.
addEventListener('pageshow', event => {
  if (event.persisted) sent = new WeakSet();
});
