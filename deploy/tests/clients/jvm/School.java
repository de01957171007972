import static io.opentelemetry.api.common.AttributeKey.stringKey;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import java.io.File;
import java.time.Instant;
import java.util.concurrent.TimeUnit;

/**
 * One launch of the school app, as a phone has it: {@code School DIR ADDRESS online|offline}. Prints what the app itself
 * measured of each lecture, in ms: "lecture LEAST MOST", since the SDK takes the times somewhere within its calls.
 */
public final class School {
  /** How long the disk's batches may take to be sent. */
  private static final long PATIENCE_MS = 60_000;

  private static Telemetry telemetry;

  public static void main(String[] args) throws Exception {
    File dir = new File(args[0]);
    boolean online = args[2].equals("online");
    telemetry = new Telemetry(dir, args[1], "16", "Pixel 9");
    // What the last launch left goes first.
    if (online) send(dir);
    took("AppStart", "start.type", online ? "warm" : "cold", online ? 412_500_000 : 1_203_250_000);
    took("Created", "app.screen.name", "lecture", 96_125_000);
    lecture(120);
    call("GET", "/api/lectures/42", 200, 88_500_000);
    lecture(online ? 60 : 1_300);
    telemetry.action("answer.submit");
    call("POST", "/api/answers/7", 503, 31_000_000);
    if (!online) {
      telemetry.action("quiz.start");
      // After the answer's call has failed, also in whole milliseconds.
      Thread.sleep(20);
      telemetry.event("device.crash", Attributes.of(stringKey("exception.type"), "java.lang.IllegalStateException"));
    }
    telemetry.flush();
    if (online) send(dir);
    else if (uploaded(dir)) throw new IllegalStateException("nothing can be sent while offline");
    System.exit(0);
  }

  private static void lecture(long ms) throws InterruptedException {
    long beforeStart = System.nanoTime();
    telemetry.action("lecture.open");
    long afterStart = System.nanoTime();
    Thread.sleep(ms);
    long beforeEnd = System.nanoTime();
    telemetry.event("video.first_frame", Attributes.empty());
    long afterEnd = System.nanoTime();
    System.out.println("lecture " + (beforeEnd - afterStart) / 1e6 + " " + (afterEnd - beforeStart) / 1e6);
  }

  private static void took(String name, String attribute, String value, long ns) {
    long end = System.currentTimeMillis() * 1_000_000;
    Span span =
        telemetry.tracer().spanBuilder(name).setAttribute(attribute, value)
            .setStartTimestamp(end - ns, TimeUnit.NANOSECONDS).startSpan();
    span.end(end, TimeUnit.NANOSECONDS);
  }

  /** A call that ends {@code ns} after it began, which is after what happened before. */
  private static void call(String method, String path, long status, long ns) throws InterruptedException {
    Instant now = Instant.now();
    long start = TimeUnit.SECONDS.toNanos(now.getEpochSecond()) + now.getNano();
    TimeUnit.NANOSECONDS.sleep(ns);
    Span span =
        telemetry.tracer().spanBuilder(method).setSpanKind(SpanKind.CLIENT)
            .setAttribute("http.request.method", method)
            .setAttribute("url.full", "https://school.example" + path)
            .setAttribute("http.response.status_code", status)
            .setStartTimestamp(start, TimeUnit.NANOSECONDS).startSpan();
    span.end(start + ns, TimeUnit.NANOSECONDS);
  }

  private static void send(File dir) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE_MS * 1_000_000;
    while (!uploaded(dir)) {
      if (System.nanoTime() > deadline) throw new IllegalStateException("the disk's batches are not sent");
      // A file is sent when it is old enough to be complete.
      Thread.sleep(50);
    }
  }

  /** Whether ingest has everything that was on disk. */
  private static boolean uploaded(File dir) {
    return telemetry.upload() && isEmpty(new File(dir, "logs")) && isEmpty(new File(dir, "spans"));
  }

  private static boolean isEmpty(File dir) {
    String[] names = dir.list();
    return names == null || names.length == 0;
  }
}
