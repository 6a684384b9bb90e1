// What grpc_client.py does, by grpc-go: `grpc_client TARGET`.
package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// same is a codec: messages are bytes.
type same struct{}

func (same) Marshal(message interface{}) ([]byte, error) { return *message.(*[]byte), nil }
func (same) Unmarshal(data []byte, message interface{}) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}
func (same) Name() string { return "proto" }

var names = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unimplemented: "UNIMPLEMENTED",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.InvalidArgument: "INVALID_ARGUMENT",
}

func code(err error) string {
	if name := names[status.Code(err)]; name != "" {
		return name
	}
	return err.Error()
}

func path(method string) string { return "/test.Service/" + method }

type calls struct{ *grpc.ClientConn }

func (c calls) unary(method string, message []byte, seconds float64, options ...grpc.CallOption) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds*float64(time.Second)))
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-sent-bin", "\x01\xfe")
	var answer []byte
	err := c.Invoke(ctx, path(method), &message, &answer, options...)
	return answer, err
}

func (c calls) stream(method string) (grpc.ClientStream, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	kind := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := c.NewStream(ctx, kind, path(method))
	if err != nil {
		panic(err)
	}
	return stream, cancel
}

func send(stream grpc.ClientStream, message string) {
	data := []byte(message)
	if err := stream.SendMsg(&data); err != nil {
		panic(err)
	}
}

func receive(stream grpc.ClientStream) (string, error) {
	var data []byte
	err := stream.RecvMsg(&data)
	return string(data), err
}

func (c calls) metadata() map[string]string {
	var trailers metadata.MD
	c.unary("Echo", []byte("x"), 60, grpc.Trailer(&trailers))
	found := map[string]string{}
	for key, values := range trailers {
		found[key] = values[0]
		if strings.HasSuffix(key, "-bin") {
			found[key] = hex.EncodeToString([]byte(values[0]))
		}
	}
	return found
}

func (c calls) count() int {
	stream, cancel := c.stream("Count")
	defer cancel()
	send(stream, "1000")
	stream.CloseSend()
	found := 0
	for {
		if _, err := receive(stream); err != nil {
			return found
		}
		found++
	}
}

func (c calls) upload(pieces int) string {
	stream, cancel := c.stream("Add")
	defer cancel()
	for ; pieces > 0; pieces-- {
		send(stream, strings.Repeat("a", 1000))
	}
	stream.CloseSend()
	answer, _ := receive(stream)
	receive(stream)
	return answer
}

func (c calls) chat() int {
	stream, cancel := c.stream("Chat")
	defer cancel()
	for number := 0; number < 100; number++ {
		send(stream, fmt.Sprint(number))
		if answer, _ := receive(stream); answer != fmt.Sprint(number) {
			return -1
		}
	}
	stream.CloseSend()
	if _, err := receive(stream); err == nil || err.Error() != "EOF" {
		return -1
	}
	return 100
}

func (c calls) cancel() string {
	stream, cancel := c.stream("Forever")
	send(stream, "")
	stream.CloseSend()
	receive(stream)
	cancel()
	for {
		if _, err := receive(stream); err != nil {
			return code(err)
		}
	}
}

func (c calls) atOnce() bool {
	var running sync.WaitGroup
	right := make([]bool, 300)
	for number := range right {
		running.Add(1)
		go func(number int) {
			defer running.Done()
			answer, _ := c.unary("Echo", []byte(fmt.Sprint(number)), 60)
			right[number] = string(answer) == fmt.Sprint(number)
		}(number)
	}
	running.Wait()
	for _, is := range right {
		if !is {
			return false
		}
	}
	return true
}

func main() {
	limit := grpc.WithDefaultCallOptions(
		grpc.MaxCallRecvMsgSize(1<<30), grpc.MaxCallSendMsgSize(1<<30), grpc.ForceCodec(same{}))
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure(), limit)
	if err != nil {
		panic(err)
	}
	c := calls{connection}
	hello, _ := c.unary("Echo", []byte("hello"), 60)
	empty, _ := c.unary("Echo", []byte{}, 60)
	_, failure := c.unary("Fail", []byte("x"), 60)
	_, unknown := c.unary("Nowhere", []byte("x"), 60)
	_, late := c.unary("Slow", []byte("x"), 0.5)
	message := make([]byte, 8<<20)
	for at := range message {
		message[at] = byte(at)
	}
	large, _ := c.unary("Echo", message, 60)
	packed, _ := c.unary("Echo", bytes.Repeat([]byte("q"), 100_000), 60, grpc.UseCompressor("gzip"))
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"unary": string(hello), "empty": len(empty), "metadata": c.metadata(),
		"failure": []string{code(failure), status.Convert(failure).Message()}, "unknown": code(unknown),
		"deadline": code(late), "8 MiB": bytes.Equal(large, message), "gzip": len(packed), "server stream": c.count(),
		"client stream": c.upload(1000), "both": c.chat(), "cancel": c.cancel(), "at once": c.atOnce(),
	})
}
