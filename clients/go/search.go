// Searches the items of one brand below a price, and prints one JSON object; with -stream, one of
// each message of StreamSearch:
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

type answer struct {
	Results []result `json:"results"`
	Matched int32    `json:"matched"`
}

// message is one of StreamSearch.
type message struct {
	Phase string  `json:"phase"`
	Last  bool    `json:"last"`
	Page  *answer `json:"page"`
}

func affordable(brand string, price float64) *pb.Filter {
	ofBrand := &pb.Filter{Kind: &pb.Filter_Equals{Equals: &pb.EqualsFilter{
		Field: "brand",
		Value: &pb.Value{Kind: &pb.Value_Text{Text: brand}},
	}}}
	below := &pb.Value{Kind: &pb.Value_Number{Number: price}}
	cheap := &pb.Filter{Kind: &pb.Filter_Range{Range: &pb.RangeFilter{
		Field:    "price",
		Interval: &pb.Interval{Upper: &pb.Interval_Below{Below: below}},
	}}}
	return &pb.Filter{Kind: &pb.Filter_AndGroup{
		AndGroup: &pb.FilterGroup{Filters: []*pb.Filter{ofBrand, cheap}},
	}}
}

func search(client pb.SearchServiceClient, request *pb.SearchRequest) (*answer, error) {
	ctx, cancel := named()
	defer cancel()
	response, err := client.Search(ctx, request)
	if err != nil {
		return nil, err
	}
	return printable(response), nil
}

// streamed searches in parts. The first message, where there are two, is the page to show until the
// other one is there.
func streamed(client pb.SearchServiceClient, request *pb.SearchRequest) ([]message, error) {
	ctx, cancel := named()
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
			part.GetPhase().String(), part.GetLast(), printable(part.GetSearch()),
		})
	}
}

// named is the context of a call: it has a name in the server's log, and a deadline, which should
// always be set, for the server gives up when it has passed.
func named() (context.Context, context.CancelFunc) {
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails on the systems that Go supports
	ctx := metadata.AppendToOutgoingContext(
		context.Background(), "x-request-id", hex.EncodeToString(id))
	return context.WithTimeout(ctx, 10*time.Second)
}

func printable(response *pb.SearchResponse) *answer {
	found := &answer{Results: []result{}, Matched: response.GetMatchedCount()}
	for _, one := range response.GetResults() {
		item := one.GetItem()
		found.Results = append(found.Results, result{
			one.GetRank(), one.GetScore(), one.GetItemId(), item.GetTitle(), item.GetPrice(),
		})
	}
	return found
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "every" {
		callEverything(os.Args[2:])
		return
	}
	address := flag.String("address", "127.0.0.1:50051", "of the server, or a gRPC target")
	ca := flag.String("ca", "", "PEM file of the authorities that may have signed the server")
	cert := flag.String("cert", "", "PEM chain to show the server")
	key := flag.String("key", "", "PEM private key of -cert")
	brand := flag.String("brand", "", "whose items to search")
	below := flag.Float64("below", 1000, "what they cost less than")
	pageSize := flag.Int("page-size", 5, "how many to print at most")
	stream := flag.Bool("stream", false, "search with StreamSearch")
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
		Filter:   affordable(*brand, *below),
	}
	var found interface{}
	if *stream {
		found, err = streamed(client, request)
	} else {
		found, err = search(client, request)
	}
	if err != nil {
		_ = out.Encode(failureOf(err))
		os.Exit(1)
	}
	_ = out.Encode(found)
}
