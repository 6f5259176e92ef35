// Search the items of one brand below a price and print the results as JSON. With -stream it calls
// StreamSearch and prints both messages.
//
//	go run . -brand Voltix -below 50 "usb c charger"
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	pb "shortlist.example/gen/shortlist/v1"
)

type result struct {
	Rank  int32   `json:"rank"`
	Score float64 `json:"score"`
	ID    string  `json:"id"`
	Title string  `json:"title"`
	Price float64 `json:"price"`
}

type page struct {
	Results []result `json:"results"`
	Matched int32    `json:"matched"`
}

// message is a message of StreamSearch.
type message struct {
	Phase string `json:"phase"`
	Last  bool   `json:"last"`
	Page  *page  `json:"page"`
}

// brandBelow returns the filter for items of a brand below a price.
func brandBelow(brand string, price float64) *pb.Filter {
	equals := &pb.Filter{Kind: &pb.Filter_Equals{Equals: &pb.EqualsFilter{
		Field: "brand",
		Value: &pb.Value{Kind: &pb.Value_Text{Text: brand}},
	}}}
	below := &pb.Value{Kind: &pb.Value_Number{Number: price}}
	inRange := &pb.Filter{Kind: &pb.Filter_Range{Range: &pb.RangeFilter{
		Field:    "price",
		Interval: &pb.Interval{Upper: &pb.Interval_Below{Below: below}},
	}}}
	return &pb.Filter{Kind: &pb.Filter_AndGroup{
		AndGroup: &pb.FilterGroup{Filters: []*pb.Filter{equals, inRange}},
	}}
}

func search(client pb.SearchServiceClient, request *pb.SearchRequest) (*page, error) {
	ctx, cancel := callContext()
	defer cancel()
	response, err := client.Search(ctx, request)
	if err != nil {
		return nil, err
	}
	return pageOf(response), nil
}

// streamSearch returns both messages. A user interface would show the first message until the second
// arrives.
func streamSearch(client pb.SearchServiceClient, request *pb.SearchRequest) ([]message, error) {
	ctx, cancel := callContext()
	defer cancel()
	parts, err := client.StreamSearch(ctx, &pb.StreamSearchRequest{Search: request})
	if err != nil {
		return nil, err
	}
	messages := []message{}
	for {
		part, err := parts.Recv()
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return nil, err
		}
		messages = append(messages, message{
			part.GetPhase().String(), part.GetLast(), pageOf(part.GetSearch()),
		})
	}
}

// callContext returns the context of a call: a request id for the server's log, and a deadline.
// Always set a deadline: when it passes, the server stops its work on the call.
func callContext() (context.Context, context.CancelFunc) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails on the systems that Go supports
	ctx := metadata.AppendToOutgoingContext(
		context.Background(), "x-request-id", hex.EncodeToString(id))
	return context.WithTimeout(ctx, 10*time.Second)
}

// pageOf returns a page of results for JSON.
func pageOf(response *pb.SearchResponse) *page {
	results := []result{}
	for _, hit := range response.GetResults() {
		item := hit.GetItem()
		results = append(results, result{
			hit.GetRank(), hit.GetScore(), hit.GetItemId(), item.GetTitle(), item.GetPrice(),
		})
	}
	return &page{Results: results, Matched: response.GetMatchedCount()}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "every" {
		callEverything(os.Args[2:])
		return
	}
	address := flag.String("address", "127.0.0.1:50051", "the address of the server, or a gRPC target")
	ca := flag.String("ca", "", "PEM file of trusted certificate authorities")
	cert := flag.String("cert", "", "PEM certificate chain of the client")
	key := flag.String("key", "", "PEM private key of -cert")
	brand := flag.String("brand", "", "the brand of the items")
	below := flag.Float64("below", 1000, "the price that items must be below")
	orderBy := flag.String("order-by", "", "the order of the results, such as price desc")
	pageSize := flag.Int("page-size", 5, "the maximum number of results")
	stream := flag.Bool("stream", false, "call StreamSearch")
	flag.Parse()

	connection, err := connect(*address, *ca, *cert, *key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	defer connection.Close()
	out := json.NewEncoder(os.Stdout)
	client := pb.NewSearchServiceClient(connection)
	request := &pb.SearchRequest{
		Query:    strings.Join(flag.Args(), " "),
		PageSize: int32(*pageSize),
		Filter:   brandBelow(*brand, *below),
		OrderBy:  *orderBy,
	}
	var output interface{}
	if *stream {
		output, err = streamSearch(client, request)
	} else {
		output, err = search(client, request)
	}
	if err != nil {
		_ = out.Encode(failureOf(err))
		os.Exit(1)
	}
	_ = out.Encode(output)
}
