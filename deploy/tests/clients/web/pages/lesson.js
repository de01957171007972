// A small school app: a list of lectures and a page for each, the same whatever SDK tells of it.

import './observe.js';

const OPENED = 'lecture.opened_at';
const now = () => performance.timeOrigin + performance.now();

/** When a moment was that `tell` tells of: SDKs look at the clock somewhere within. */
function moment(tell) {
  const from = now();
  const told = tell();
  return { from, to: now(), told };
}

/** Lets the buttons work; `sdk` tells of what happens. */
export function lesson({ action, event, start, call = fetch }) {
  /** What a journey took at least and at most, and by its own word if it has one, ms. */
  const latency = (journey, begin, end) =>
    window.played({ journey, least: end.from - begin.to, most: end.to - begin.from, exact: end.told });
  const on = (id, work) => document.getElementById(id).addEventListener('click', work);

  async function show(lecture) {
    const response = await call(`/api/lectures/${lecture}`);
    await response.text();
    const end = moment(() => event('video.first_frame'));
    await latency('watch-lecture', JSON.parse(sessionStorage[OPENED]), end);
    delete sessionStorage[OPENED];
  }

  function open() {
    sessionStorage[OPENED] = JSON.stringify(moment(() => action('lecture.open')));
  }

  // A handler that holds the page up for long enough to be the interaction to next paint.
  on('more', () => {
    const until = performance.now() + 60;
    while (performance.now() < until);
    document.getElementById('list').append('Lecture 43');
  });
  on('open', () => {
    open();
    location.assign('/lectures/42');
  });
  on('again', () => {
    open();
    show('slow');
  });
  on('answer', async () => {
    action('answer.submit');
    const response = await call('/api/answers/7', { method: 'POST' });
    if (response.ok) action('answer.taken');
    await window.played({ journey: 'submit-answer', status: response.status });
  });
  on('term', () => {
    const begin = moment(() => start('find-term'));
    setTimeout(() => latency('find-term', begin, moment(() => begin.told('success'))), 40);
  });
  on('quiz', () => {
    action('quiz.start');
    setTimeout(() => window.quiz.questions[0], 20);
  });

  if (sessionStorage[OPENED]) show('42');
  // Moves what stands below it: the layout shift of the page.
  setTimeout(() => document.getElementById('notice').classList.add('open'), 150);
}
