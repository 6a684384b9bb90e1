// What http2_client.py does, by Go's net/http: `http2_client URL CERTIFICATE`.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"
)

var client *http.Client

func ask(method, url string, body []byte) (int, []byte) {
	request, _ := http.NewRequest(method, url, bytes.NewReader(body))
	answer, err := client.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		panic(answer.Proto)
	}
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	return answer.StatusCode, data
}

func sizes(status int, body []byte) []int { return []int{status, len(body)} }

func main() {
	url := os.Args[1]
	certificate, _ := os.ReadFile(os.Args[2])
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted}, ForceAttemptHTTP2: true}}
	large := make([]byte, 8<<20)
	for at := range large {
		large[at] = byte(at)
	}
	told := map[string]interface{}{
		"GET": sizes(ask("GET", url+"/small", nil)), "HEAD": sizes(ask("HEAD", url+"/small", nil)),
	}
	told["missing"], _ = ask("GET", url+"/missing", nil)
	for name, body := range map[string][]byte{"large": nil, "upload": large} {
		method, path := "GET", "/large"
		if body != nil {
			method, path = "POST", "/echo"
		}
		status, found := ask(method, url+path, body)
		if !bytes.Equal(found, large) {
			panic(name)
		}
		told[name] = sizes(status, found)
	}
	var running sync.WaitGroup
	statuses := make([]int, 50)
	for at := range statuses {
		running.Add(1)
		go func(at int) {
			defer running.Done()
			statuses[at], _ = ask("GET", url+"/small", nil)
		}(at)
	}
	running.Wait()
	fine := 0
	for _, status := range statuses {
		fine += status / 200
	}
	told["at once"] = fine
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, "GET", url+"/endless", nil)
	answer, err := client.Do(request)
	if err != nil {
		panic(err)
	}
	answer.Body.Read(make([]byte, 1))
	cancel()
	io.Copy(io.Discard, answer.Body)
	client.CloseIdleConnections()
	json.NewEncoder(os.Stdout).Encode(told)
}
