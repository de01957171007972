import 'connect/web-vitals/vitals.js';
import * as sdk from 'connect/web-vitals/journey.js';
import { lesson } from './lesson.js';

lesson(sdk);
