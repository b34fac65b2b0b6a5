// Times are written in UTC; here they are said again in the time zone of the browser.
const FORMS = {
  instant: { day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' },
  day: { day: 'numeric', month: 'long', year: 'numeric' },
};
const { lang } = document.documentElement;

for (const time of document.querySelectorAll('time[data-local]')) {
  const format = new Intl.DateTimeFormat(lang === 'en' ? 'en-GB' : lang, FORMS[time.dataset.local]);
  time.title = time.textContent;
  time.textContent = format.format(new Date(time.dateTime));
}
