import * as sdk from 'connect/faro/journey.js';
import { lesson } from './lesson.js';

lesson(sdk);
