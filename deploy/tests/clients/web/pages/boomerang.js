import { start } from 'connect/boomerang/journey.js';
import { lesson } from './lesson.js';

// boomerang's own word for each beacon that it sends while the page is open.
BOOMR.subscribe('beacon', (beacon) => window.told({ beacon: JSON.parse(JSON.stringify(beacon)) }));

// Its timers end on the page where they began.
lesson({ action() {}, event() {}, start });
