import * as sdk from 'connect/opentelemetry-web/journey.js';
import { lesson } from './lesson.js';

lesson(sdk);
