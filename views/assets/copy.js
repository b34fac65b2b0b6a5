// The copy button beside a code: it exists only here, and answers in a status region.
for (const button of document.querySelectorAll('[data-copy]')) {
  if (!navigator.clipboard) continue;
  const box = button.closest('.code');
  const status = box.querySelector('[data-copied]');
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(box.querySelector('code').textContent);
    status.textContent = status.dataset.copied;
    status.classList.remove('hide');
  });
}
