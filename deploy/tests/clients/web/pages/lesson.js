// A small school app: a list of lectures and a page for each, the same whatever SDK tells of it.

import './observe.js';

const OPENED = 'lecture.opened_at';
const now = () => performance.timeOrigin + performance.now();

/** Lets the buttons work; `sdk` tells of what happens. */
export function lesson({ action, event, start, call = fetch }) {
  const latency = (journey, ms) => window.played({ journey, ms });
  const on = (id, work) => document.getElementById(id).addEventListener('click', work);

  async function show(lecture) {
    const response = await call(`/api/lectures/${lecture}`);
    await response.text();
    event('video.first_frame');
    await latency('watch-lecture', now() - Number(sessionStorage[OPENED]));
    delete sessionStorage[OPENED];
  }

  function open() {
    sessionStorage[OPENED] = now();
    action('lecture.open');
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
    const end = start('find-term');
    setTimeout(() => latency('find-term', end('success')), 40);
  });
  on('quiz', () => {
    action('quiz.start');
    setTimeout(() => window.quiz.questions[0], 20);
  });

  if (sessionStorage[OPENED]) show('42');
  // Moves what stands below it: the layout shift of the page.
  setTimeout(() => document.getElementById('notice').classList.add('open'), 150);
}
