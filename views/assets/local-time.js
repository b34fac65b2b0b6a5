// Times are written in UTC; here they are said again in the time zone of the browser.
const { lang } = document.documentElement;
const locale = lang === 'en' ? 'en-GB' : lang;
const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
const hour = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

for (const time of document.querySelectorAll('time[data-local]')) {
  const instant = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent =
    time.dataset.local === 'day' ? day.format(instant) : `${day.format(instant)}, ${hour.format(instant)}`;
}
