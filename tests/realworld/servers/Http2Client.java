// What http2_client.py does, by Java's java.net.http: `java Http2Client.java URL CERTIFICATE`.
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.*;
import java.util.concurrent.*;
import javax.net.ssl.*;

public class Http2Client {
    static HttpClient client;

    static HttpRequest request(String method, String url, byte[] body) {
        var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body);
        return HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build();
    }

    static HttpResponse<byte[]> ask(String method, String url, byte[] body) throws Exception {
        var answer = client.send(request(method, url, body), HttpResponse.BodyHandlers.ofByteArray());
        if (answer.version() != HttpClient.Version.HTTP_2) throw new IllegalStateException(answer.version().toString());
        return answer;
    }

    static String sizes(HttpResponse<byte[]> answer) { return "[" + answer.statusCode() + ", " + answer.body().length + "]"; }

    static SSLContext trusting(String path) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var file = new FileInputStream(path)) {
            store.setCertificateEntry("it", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        client = HttpClient.newBuilder().sslContext(trusting(arguments[1])).build();
        byte[] large = new byte[8 << 20];
        for (int at = 0; at < large.length; at++) large[at] = (byte) at;
        var whole = ask("GET", url + "/large", null);
        var back = ask("POST", url + "/echo", large);
        if (!Arrays.equals(whole.body(), large) || !Arrays.equals(back.body(), large)) throw new IllegalStateException("other bytes");
        var running = new ArrayList<CompletableFuture<HttpResponse<byte[]>>>();
        for (int left = 50; left > 0; left--)
            running.add(client.sendAsync(request("GET", url + "/small", null), HttpResponse.BodyHandlers.ofByteArray()));
        int fine = 0;
        for (var each : running) fine += each.get().statusCode() / 200;
        System.out.printf("{\"GET\": %s, \"HEAD\": %s, \"missing\": %d, \"large\": %s, \"upload\": %s, \"at once\": %d}%n",
            sizes(ask("GET", url + "/small", null)), sizes(ask("HEAD", url + "/small", null)),
            ask("GET", url + "/missing", null).statusCode(), sizes(whole), sizes(back), fine);
        try (var stream = client.send(request("GET", url + "/endless", null), HttpResponse.BodyHandlers.ofInputStream()).body()) {
            stream.read();
        }
    }
}
