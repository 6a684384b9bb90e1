// What grpc_client.py does, by grpc-java: `java -cp ... GrpcClient.java TARGET`.
import io.grpc.*;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.*;
import java.io.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicReference;

public class GrpcClient {
    static final Metadata.Key<byte[]> SENT = Metadata.Key.of("x-sent-bin", Metadata.BINARY_BYTE_MARSHALLER);
    static final MethodDescriptor.Marshaller<byte[]> SAME = new MethodDescriptor.Marshaller<>() {
        public InputStream stream(byte[] message) { return new ByteArrayInputStream(message); }
        public byte[] parse(InputStream stream) {
            try { return stream.readAllBytes(); } catch (IOException error) { throw new UncheckedIOException(error); }
        }
    };
    static ManagedChannel channel;

    static MethodDescriptor<byte[], byte[]> method(String name, MethodDescriptor.MethodType kind) {
        return MethodDescriptor.newBuilder(SAME, SAME).setType(kind).setFullMethodName("test.Service/" + name).build();
    }

    static CallOptions later(double seconds) {
        return CallOptions.DEFAULT.withDeadlineAfter((long) (seconds * 1000), TimeUnit.MILLISECONDS);
    }

    static MethodDescriptor<byte[], byte[]> unary(String name) { return method(name, MethodDescriptor.MethodType.UNARY); }

    static byte[] call(String name, byte[] message, double seconds) {
        return ClientCalls.blockingUnaryCall(channel, unary(name), later(seconds), message);
    }

    static Status failure(String name, double seconds) {
        try { call(name, "x".getBytes(), seconds); return Status.OK; } catch (StatusRuntimeException error) {
            return error.getStatus();
        }
    }

    static String metadata() {
        Metadata sent = new Metadata();
        sent.put(SENT, new byte[] {1, (byte) 0xfe});
        var trailers = new AtomicReference<Metadata>();
        Channel by = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(sent),
            MetadataUtils.newCaptureMetadataInterceptor(new AtomicReference<>(), trailers));
        ClientCalls.blockingUnaryCall(by, unary("Echo"), later(60), "x".getBytes());
        var found = new TreeMap<String, String>();
        for (String key : trailers.get().keys()) {
            found.put(key, quoted(key.endsWith("-bin")
                ? HexFormat.of().formatHex(trailers.get().get(Metadata.Key.of(key, Metadata.BINARY_BYTE_MARSHALLER)))
                : trailers.get().get(Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER))));
        }
        return json(found);
    }

    static int count() {
        int found = 0;
        var answers = ClientCalls.blockingServerStreamingCall(
            channel, method("Count", MethodDescriptor.MethodType.SERVER_STREAMING), later(60), "1000".getBytes());
        for (; answers.hasNext(); answers.next()) found++;
        return found;
    }

    /** A stream whose answers are taken one by one; an empty one is its end. */
    static class Taken implements StreamObserver<byte[]> {
        final BlockingQueue<Optional<byte[]>> found = new LinkedBlockingQueue<>();
        String code = "OK";
        public void onNext(byte[] message) { found.add(Optional.of(message)); }
        public void onError(Throwable error) { code = Status.fromThrowable(error).getCode().name(); found.add(Optional.empty()); }
        public void onCompleted() { found.add(Optional.empty()); }
    }

    static String upload(int pieces) throws Exception {
        Taken taken = new Taken();
        var sent = ClientCalls.asyncClientStreamingCall(
            channel.newCall(method("Add", MethodDescriptor.MethodType.CLIENT_STREAMING), later(60)), taken);
        for (; pieces > 0; pieces--) sent.onNext("a".repeat(1000).getBytes());
        sent.onCompleted();
        return new String(taken.found.take().orElseThrow());
    }

    static int chat() throws Exception {
        Taken taken = new Taken();
        var sent = ClientCalls.asyncBidiStreamingCall(
            channel.newCall(method("Chat", MethodDescriptor.MethodType.BIDI_STREAMING), later(60)), taken);
        for (int number = 0; number < 100; number++) {
            sent.onNext(String.valueOf(number).getBytes());
            if (!new String(taken.found.take().orElseThrow()).equals(String.valueOf(number))) return -1;
        }
        sent.onCompleted();
        return taken.found.take().isEmpty() && taken.code.equals("OK") ? 100 : -1;
    }

    static String cancel() throws Exception {
        Taken taken = new Taken();
        var call = channel.newCall(method("Forever", MethodDescriptor.MethodType.SERVER_STREAMING), later(60));
        ClientCalls.asyncServerStreamingCall(call, new byte[0], taken);
        taken.found.take();
        call.cancel("enough", null);
        while (taken.found.take().isPresent()) { }
        return taken.code;
    }

    static boolean atOnce() throws Exception {
        var running = new ArrayList<Future<byte[]>>();
        for (int number = 0; number < 300; number++)
            running.add(ClientCalls.futureUnaryCall(channel.newCall(unary("Echo"), later(60)), String.valueOf(number).getBytes()));
        for (int number = 0; number < 300; number++)
            if (!new String(running.get(number).get()).equals(String.valueOf(number))) return false;
        return true;
    }

    static String json(Map<String, ?> values) {
        var parts = new ArrayList<String>();
        values.forEach((key, value) -> parts.add('"' + key + "\": " + value));
        return "{" + String.join(", ", parts) + "}";
    }

    static String quoted(Object text) { return "\"" + text + "\""; }

    public static void main(String[] arguments) throws Exception {
        channel = NettyChannelBuilder.forTarget(arguments[0]).usePlaintext()
            .maxInboundMessageSize(1 << 30).build();
        byte[] large = new byte[8 << 20];
        for (int at = 0; at < large.length; at++) large[at] = (byte) at;
        Status failure = failure("Fail", 60);
        var told = new LinkedHashMap<String, Object>();
        told.put("unary", quoted(new String(call("Echo", "hello".getBytes(), 60))));
        told.put("empty", call("Echo", new byte[0], 60).length);
        told.put("metadata", metadata());
        told.put("failure", "[" + quoted(failure.getCode()) + ", " + quoted(failure.getDescription()) + "]");
        told.put("unknown", quoted(failure("Nowhere", 60).getCode()));
        told.put("deadline", quoted(failure("Slow", 0.5).getCode()));
        told.put("8 MiB", Arrays.equals(call("Echo", large, 60), large));
        told.put("gzip", ClientCalls.blockingUnaryCall(
            channel, unary("Echo"), later(60).withCompression("gzip"), "q".repeat(100_000).getBytes()).length);
        told.put("server stream", count());
        told.put("client stream", quoted(upload(1000)));
        told.put("both", chat());
        told.put("cancel", quoted(cancel()));
        told.put("at once", atOnce());
        new PrintStream(System.out, true, "UTF-8").println(json(told));
        channel.shutdownNow();
    }
}
