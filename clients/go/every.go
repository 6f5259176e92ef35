package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "shortlist.example/gen/shortlist/v1"
)

const question = "usb c charger"

// everything is where every method is called: a server with tokens and --state, an item and another
// bundle that it has, and a token that it knows no more; one of stage 1 alone without tokens or state;
// and one whose GetItem ends with a different error for each of some ids.
type everything struct {
	served, plain, admin, raising *grpc.ClientConn
	token, readerToken, oldToken  string
	itemID, otherBundle           string
	raises                        []string
}

// raw sends and receives bytes as they are.
type raw struct{}

func (raw) Name() string                                     { return "raw" }
func (raw) Marshal(message interface{}) ([]byte, error)      { return message.([]byte), nil }
func (raw) Unmarshal(data []byte, message interface{}) error { return nil }

func shown(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// something says whether a call that did not fail gave anything.
func something(count int, err error) (bool, error) { return count > 0, err }

func (all everything) search(
	ctx context.Context, on *grpc.ClientConn, request *pb.SearchRequest,
) (*pb.SearchResponse, error) {
	return pb.NewSearchServiceClient(on).Search(ctx, request)
}

// streamed says whether the last answer came.
func (all everything) streamed(ctx context.Context) (bool, error) {
	request := &pb.StreamSearchRequest{Search: &pb.SearchRequest{Query: question}}
	parts, err := pb.NewSearchServiceClient(all.served).StreamSearch(ctx, request)
	last := false
	for err == nil {
		var part *pb.StreamSearchResponse
		if part, err = parts.Recv(); err == nil {
			last = part.GetLast()
		}
	}
	if err == io.EOF {
		err = nil
	}
	return last, err
}

// written says whether a write was made; the error of one that was not is in its answer.
func written(sequence int64, failed *statuspb.Status) (bool, error) {
	if failed != nil {
		return false, status.ErrorProto(failed)
	}
	return sequence > 0, nil
}

func upsert(ctx context.Context, on *grpc.ClientConn, item *pb.Item) (bool, error) {
	stream, err := pb.NewCatalogServiceClient(on).UpsertItems(ctx)
	if err != nil {
		return false, err
	}
	// An error to send is that the stream has ended; Recv says how.
	_ = stream.Send(&pb.UpsertItemsRequest{RequestId: "go-1", Item: item})
	_ = stream.CloseSend()
	answer, err := stream.Recv()
	if err != nil {
		return false, err
	}
	return written(answer.GetSequence(), answer.GetError())
}

func erase(ctx context.Context, on *grpc.ClientConn, itemID string) (bool, error) {
	stream, err := pb.NewCatalogServiceClient(on).DeleteItems(ctx)
	if err != nil {
		return false, err
	}
	_ = stream.Send(&pb.DeleteItemsRequest{RequestId: "go-2", ItemId: itemID})
	_ = stream.CloseSend()
	answer, err := stream.Recv()
	if err != nil {
		return false, err
	}
	return written(answer.GetSequence(), answer.GetError())
}

// call is one call with what the server is shown of the caller.
type call struct {
	name  string
	token string
	make  func(ctx context.Context) (bool, error)
}

func (all everything) methods() []call {
	items := pb.NewCatalogServiceClient(all.served)
	retrievals := pb.NewRetrievalServiceClient(all.served)
	query := &pb.EmbedInput{Input: &pb.EmbedInput_Query{Query: question}}
	return []call{
		{"Search", all.token, func(ctx context.Context) (bool, error) {
			found, err := all.search(ctx, all.served, &pb.SearchRequest{Query: question})
			return something(len(found.GetResults()), err)
		}},
		{"StreamSearch", all.token, all.streamed},
		{"Retrieve", all.token, func(ctx context.Context) (bool, error) {
			input := &pb.RetrieveRequest_Query{Query: question}
			found, err := retrievals.Retrieve(ctx, &pb.RetrieveRequest{Input: input})
			return something(len(found.GetResults()), err)
		}},
		{"SimilarItems", all.token, func(ctx context.Context) (bool, error) {
			found, err := retrievals.SimilarItems(ctx, &pb.SimilarItemsRequest{ItemId: all.itemID})
			return something(len(found.GetResults()), err)
		}},
		{"Embed", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.EmbedRequest{Inputs: []*pb.EmbedInput{query}}
			found, err := retrievals.Embed(ctx, request)
			return something(len(found.GetEmbeddings()), err)
		}},
		{"Rerank", all.token, all.rerank(all.served)},
		{"GetItem", all.token, func(ctx context.Context) (bool, error) {
			found, err := items.GetItem(ctx, &pb.GetItemRequest{ItemId: all.itemID})
			return found.GetItem() != nil, err
		}},
		{"BatchGetItems", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.BatchGetItemsRequest{ItemIds: []string{all.itemID}}
			found, err := items.BatchGetItems(ctx, request)
			return something(len(found.GetItems()), err)
		}},
		{"UpsertItems", all.token, func(ctx context.Context) (bool, error) {
			lamp := &pb.Item{ItemId: "go-lamp", Title: "Brass reading lamp"}
			return upsert(ctx, all.served, lamp)
		}},
		{"DeleteItems", all.token, func(ctx context.Context) (bool, error) {
			return erase(ctx, all.served, "go-lamp")
		}},
		{"GetStatus", all.token, func(ctx context.Context) (bool, error) {
			operator := pb.NewAdminServiceClient(all.admin)
			found, err := operator.GetStatus(ctx, &pb.GetStatusRequest{})
			return found.GetBundle() != nil, err
		}},
	}
}

func (all everything) rerank(on *grpc.ClientConn) func(context.Context) (bool, error) {
	candidate := &pb.RerankCandidate{Candidate: &pb.RerankCandidate_ItemId{ItemId: all.itemID}}
	return func(ctx context.Context) (bool, error) {
		found, err := pb.NewRerankServiceClient(on).Rerank(ctx, &pb.RerankRequest{
			Query: question, Candidates: []*pb.RerankCandidate{candidate},
		})
		return something(len(found.GetResults()), err)
	}
}

func (all everything) load(path string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		request := &pb.LoadBundleRequest{Path: path}
		found, err := pb.NewAdminServiceClient(all.admin).LoadBundle(ctx, request)
		return found.GetBundle() != nil, err
	}
}

func (all everything) rollBack(ctx context.Context) (bool, error) {
	found, err := pb.NewAdminServiceClient(all.admin).RollBack(ctx, &pb.RollBackRequest{})
	return found.GetBundle() != nil, err
}

// swaps come last, for the other calls depend on what is served.
func (all everything) swaps() []call {
	return []call{
		{"LoadBundle", all.token, all.load(all.otherBundle)},
		{"RollBack", all.token, all.rollBack},
	}
}

// raised asks for an item of each id that is the name of an error.
func (all everything) raised() []call {
	items := pb.NewCatalogServiceClient(all.raising)
	calls := []call{}
	for _, name := range all.raises {
		request := &pb.GetItemRequest{ItemId: name}
		calls = append(calls, call{"raised: " + name, "", func(ctx context.Context) (bool, error) {
			found, err := items.GetItem(ctx, request)
			return found.GetItem() != nil, err
		}})
	}
	return calls
}

func (all everything) mistakes() []call {
	searching := func(request *pb.SearchRequest) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			found, err := all.search(ctx, all.served, request)
			return something(len(found.GetResults()), err)
		}
	}
	return []call{
		{"no query", all.token, searching(&pb.SearchRequest{})},
		{"a write without an id", all.token, func(ctx context.Context) (bool, error) {
			return upsert(ctx, all.served, &pb.Item{Title: "A lamp"})
		}},
		{"bytes that are no message", all.token, func(ctx context.Context) (bool, error) {
			method := "/shortlist.v1.SearchService/Search"
			return true, all.served.Invoke(ctx, method, []byte{0xff}, nil, grpc.ForceCodec(raw{}))
		}},
		{"a token of nobody's", all.token, searching(
			&pb.SearchRequest{Query: question, PageSize: 2, PageToken: "AAAA"})},
		{"a token of another bundle", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.SearchRequest{Query: question, PageSize: 2}
			other, err := all.search(ctx, all.plain, request)
			if err != nil {
				return false, err
			}
			request.PageToken = other.GetNextPageToken()
			return searching(request)(ctx)
		}},
		{"an unknown item", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.GetItemRequest{ItemId: "nothing"}
			found, err := pb.NewCatalogServiceClient(all.served).GetItem(ctx, request)
			return found.GetItem() != nil, err
		}},
		{"a deadline that passes", all.token, func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Microsecond)
			defer cancel()
			return searching(&pb.SearchRequest{Query: question})(ctx)
		}},
		{"no token", "", searching(&pb.SearchRequest{Query: question})},
		{"an unknown token", "stranger", searching(&pb.SearchRequest{Query: question})},
		{"a token of before", all.oldToken, searching(&pb.SearchRequest{Query: question})},
		{"a reader that writes", all.readerToken, func(ctx context.Context) (bool, error) {
			return erase(ctx, all.served, "go-lamp")
		}},
		{"no reranker", "", all.rerank(all.plain)},
		{"no state", "", func(ctx context.Context) (bool, error) {
			return upsert(ctx, all.plain, &pb.Item{ItemId: "go-lamp", Title: "Brass reading lamp"})
		}},
		{"a bundle elsewhere", all.token, all.load("..")},
		{"no bundle", all.token, all.load("damaged")},
		{"nothing to roll back to", all.token, all.rollBack},
	}
}

// endOf says how a call ended: OK where there was something in its answer, else code and reason.
func endOf(one call) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	found, err := one.make(shown(ctx, one.token))
	if err != nil {
		failed := failureOf(err)
		said := failed.Code + " " + failed.Reason
		if failed.RetrySeconds > 0 {
			said += fmt.Sprintf(" %g", failed.RetrySeconds)
		}
		return strings.TrimSpace(said)
	}
	if !found {
		return "nothing"
	}
	return "OK"
}

// callEverything calls every method once, makes every mistake that a client can, and prints how each
// call ended. clients/python and clients/node have the same.
func callEverything(arguments []string) {
	flags := flag.NewFlagSet("every", flag.ExitOnError)
	address := flags.String("address", "", "of a server with tokens and --state")
	admin := flags.String("admin-address", "", "of its AdminService")
	plain := flags.String("plain-address", "", "of a server of stage 1 alone, without either")
	raising := flags.String("raising-address", "", "of a server whose GetItem fails")
	raises := flags.String("raises", "", "the ids it fails for, with commas between them")
	token := flags.String("token", "", "with every role")
	reader := flags.String("reader-token", "", "that only reads")
	old := flags.String("old-token", "", "that is known no more")
	itemID := flags.String("item-id", "", "of an item")
	other := flags.String("other-bundle", "", "below the bundle root")
	_ = flags.Parse(arguments) // it exits by itself

	connections := map[string]*grpc.ClientConn{}
	for _, target := range []string{*address, *plain, *admin, *raising} {
		connection, err := grpc.Dial(target, grpc.WithInsecure())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		defer connection.Close()
		connections[target] = connection
	}
	all := everything{
		served: connections[*address], plain: connections[*plain],
		admin: connections[*admin], raising: connections[*raising],
		token: *token, readerToken: *reader, oldToken: *old,
		itemID: *itemID, otherBundle: *other, raises: strings.Split(*raises, ","),
	}
	ends := map[string]string{}
	for _, calls := range [][]call{all.methods(), all.mistakes(), all.raised(), all.swaps()} {
		for _, one := range calls {
			ends[one.name] = endOf(one)
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(ends)
}
