import 'connect/web-vitals/vitals.js';
import * as sdk from 'connect/web-vitals/journey.js';
import { lesson } from './lesson.js';

// Measures around the call as the page's own function does.
async function call(path, options) {
  const from = performance.now();
  const response = await sdk.call(path, options);
  await window.told({ call: { path, status: response.status, ms: performance.now() - from } });
  return response;
}

lesson({ ...sdk, call });
