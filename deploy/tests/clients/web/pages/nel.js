import { lesson } from './lesson.js';

// Tells of nothing: the browser does.
lesson({ action() {}, event() {}, start: () => () => 0 });
