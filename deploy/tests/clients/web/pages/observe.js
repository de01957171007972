// What the page itself measured, from the browser's own entries and none of the SDKs' code.

const found = { FCP: null, LCP: null, TTFB: null, CLS: 0, INP: null };
const calls = [];

function observe(type, options, take) {
  new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...options });
}

observe('paint', {}, (entry) => {
  if (entry.name === 'first-contentful-paint') found.FCP = entry.startTime;
});
observe('largest-contentful-paint', {}, (entry) => (found.LCP = entry.startTime));
observe('layout-shift', {}, (entry) => {
  // All shifts of these pages fall into one session window of the metric.
  if (!entry.hadRecentInput) found.CLS += entry.value;
});
observe('event', { durationThreshold: 16 }, (entry) => {
  if (entry.interactionId) found.INP = Math.max(found.INP ?? 0, entry.duration);
});
observe('resource', {}, (entry) => {
  const { pathname } = new URL(entry.name);
  if (pathname.startsWith('/api/')) calls.push({ path: pathname, status: entry.responseStatus, ms: entry.duration });
});

window.seen = () => {
  const [navigation] = performance.getEntriesByType('navigation');
  found.TTFB = navigation.responseStart;
  return {
    path: location.pathname,
    vitals: { ...found },
    calls: [...calls],
    load: {
      dom_complete: navigation.domComplete,
      fetch_start: navigation.fetchStart,
      load_end: navigation.loadEventEnd,
      duration: navigation.duration,
    },
  };
};
