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
	"google.golang.org/protobuf/types/known/timestamppb"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	pb "shortlist.example/gen/shortlist/v1"
)

const query = "usb c charger"

// suite holds the connections and the values that the calls need. There are three servers:
//   - served (admin is its AdminService): a server with tokens and --state; it has an item, a second
//     bundle and a revoked token;
//   - plain: a server without tokens, state or reranker;
//   - raising: a server whose GetItem fails with a different error for each id of raises.
type suite struct {
	served, plain, admin, raising *grpc.ClientConn
	token, readerToken, oldToken  string
	itemID, otherBundle           string
	raises                        []string
}

// raw is a codec that sends and receives bytes unchanged.
type raw struct{}

func (raw) Name() string                                     { return "raw" }
func (raw) Marshal(message interface{}) ([]byte, error)      { return message.([]byte), nil }
func (raw) Unmarshal(data []byte, message interface{}) error { return nil }

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// notEmpty returns whether the answer of a call is not empty.
func notEmpty(count int, err error) (bool, error) { return count > 0, err }

func (all suite) search(
	ctx context.Context, on *grpc.ClientConn, request *pb.SearchRequest,
) (*pb.SearchResponse, error) {
	return pb.NewSearchServiceClient(on).Search(ctx, request)
}

// streamSearch returns whether the message marked as last arrived.
func (all suite) streamSearch(ctx context.Context) (bool, error) {
	request := &pb.StreamSearchRequest{Search: &pb.SearchRequest{Query: query}}
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

// writeOutcome returns whether a write succeeded, or the error in its response.
func writeOutcome(sequence int64, failed *statuspb.Status) (bool, error) {
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
	// Send fails only if the stream has ended; Recv returns the reason.
	_ = stream.Send(&pb.UpsertItemsRequest{RequestId: "go-1", Item: item})
	_ = stream.CloseSend()
	answer, err := stream.Recv()
	if err != nil {
		return false, err
	}
	return writeOutcome(answer.GetSequence(), answer.GetError())
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
	return writeOutcome(answer.GetSequence(), answer.GetError())
}

// call is a named call and the token that it sends.
type call struct {
	name  string
	token string
	make  func(ctx context.Context) (bool, error)
}

func (all suite) methods() []call {
	items := pb.NewCatalogServiceClient(all.served)
	retrievals := pb.NewRetrievalServiceClient(all.served)
	curations := pb.NewCurationServiceClient(all.served)
	input := &pb.EmbedInput{Input: &pb.EmbedInput_Query{Query: query}}
	return []call{
		{"Search", all.token, func(ctx context.Context) (bool, error) {
			response, err := all.search(ctx, all.served, &pb.SearchRequest{Query: query})
			return notEmpty(len(response.GetResults()), err)
		}},
		{"StreamSearch", all.token, all.streamSearch},
		{"Retrieve", all.token, func(ctx context.Context) (bool, error) {
			input := &pb.RetrieveRequest_Query{Query: query}
			response, err := retrievals.Retrieve(ctx, &pb.RetrieveRequest{Input: input})
			return notEmpty(len(response.GetResults()), err)
		}},
		{"SimilarItems", all.token, func(ctx context.Context) (bool, error) {
			response, err := retrievals.SimilarItems(ctx, &pb.SimilarItemsRequest{ItemId: all.itemID})
			return notEmpty(len(response.GetResults()), err)
		}},
		{"Embed", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.EmbedRequest{Inputs: []*pb.EmbedInput{input}}
			response, err := retrievals.Embed(ctx, request)
			return notEmpty(len(response.GetEmbeddings()), err)
		}},
		{"Rerank", all.token, all.rerank(all.served)},
		{"Suggest", all.token, func(ctx context.Context) (bool, error) {
			suggestions := pb.NewSuggestionServiceClient(all.served)
			response, err := suggestions.Suggest(ctx, &pb.SuggestRequest{Prefix: query[:3]})
			return notEmpty(len(response.GetSuggestions()), err)
		}},
		{"Recommend", all.token, func(ctx context.Context) (bool, error) {
			recommendations := pb.NewRecommendServiceClient(all.served)
			response, err := recommendations.Recommend(ctx, &pb.RecommendRequest{})
			return notEmpty(len(response.GetResults()), err)
		}},
		{"GetItem", all.token, func(ctx context.Context) (bool, error) {
			response, err := items.GetItem(ctx, &pb.GetItemRequest{ItemId: all.itemID})
			return response.GetItem() != nil, err
		}},
		{"BatchGetItems", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.BatchGetItemsRequest{ItemIds: []string{all.itemID}}
			response, err := items.BatchGetItems(ctx, request)
			return notEmpty(len(response.GetItems()), err)
		}},
		{"UpsertItems", all.token, func(ctx context.Context) (bool, error) {
			lamp := &pb.Item{ItemId: "go-lamp", Title: "Brass reading lamp"}
			return upsert(ctx, all.served, lamp)
		}},
		{"DeleteItems", all.token, func(ctx context.Context) (bool, error) {
			return erase(ctx, all.served, "go-lamp")
		}},
		{"SetCuration", all.token, func(ctx context.Context) (bool, error) {
			plugs := &pb.SynonymRule{Line: "plug, charger"}
			content := &pb.SetCurationRequest_Synonyms{Synonyms: plugs}
			response, err := curations.SetCuration(ctx, &pb.SetCurationRequest{Content: content})
			return response.GetCuration() != nil, err
		}},
		{"ListCurations", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.ListCurationsRequest{Query: "plug"}
			response, err := curations.ListCurations(ctx, request)
			return notEmpty(len(response.GetCurations()), err)
		}},
		{"RecordEvents", all.token, func(ctx context.Context) (bool, error) {
			view := &pb.Event{
				EventId: "go-3", Time: timestamppb.Now(), Type: pb.EventType_EVENT_TYPE_VIEW, ItemId: all.itemID,
			}
			feedback := pb.NewFeedbackServiceClient(all.served)
			request := &pb.RecordEventsRequest{Events: []*pb.Event{view}}
			response, err := feedback.RecordEvents(ctx, request)
			return response.GetSequence() > 0, err
		}},
		{"GetStatus", all.token, func(ctx context.Context) (bool, error) {
			operator := pb.NewAdminServiceClient(all.admin)
			response, err := operator.GetStatus(ctx, &pb.GetStatusRequest{})
			return response.GetBundle() != nil, err
		}},
	}
}

func (all suite) rerank(on *grpc.ClientConn) func(context.Context) (bool, error) {
	candidate := &pb.RerankCandidate{Candidate: &pb.RerankCandidate_ItemId{ItemId: all.itemID}}
	return func(ctx context.Context) (bool, error) {
		response, err := pb.NewRerankServiceClient(on).Rerank(ctx, &pb.RerankRequest{
			Query: query, Candidates: []*pb.RerankCandidate{candidate},
		})
		return notEmpty(len(response.GetResults()), err)
	}
}

func (all suite) load(path string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		request := &pb.LoadBundleRequest{Path: path}
		response, err := pb.NewAdminServiceClient(all.admin).LoadBundle(ctx, request)
		return response.GetBundle() != nil, err
	}
}

func (all suite) rollBack(ctx context.Context) (bool, error) {
	response, err := pb.NewAdminServiceClient(all.admin).RollBack(ctx, &pb.RollBackRequest{})
	return response.GetBundle() != nil, err
}

// swaps returns the calls that change the served bundle. They run last, because the other calls
// depend on the bundle.
func (all suite) swaps() []call {
	return []call{
		{"LoadBundle", all.token, all.load(all.otherBundle)},
		{"RollBack", all.token, all.rollBack},
	}
}

// raised returns one GetItem call per error name; the item id names the error that the server returns.
func (all suite) raised() []call {
	items := pb.NewCatalogServiceClient(all.raising)
	calls := []call{}
	for _, name := range all.raises {
		request := &pb.GetItemRequest{ItemId: name}
		calls = append(calls, call{"raised: " + name, "", func(ctx context.Context) (bool, error) {
			response, err := items.GetItem(ctx, request)
			return response.GetItem() != nil, err
		}})
	}
	return calls
}

func (all suite) mistakes() []call {
	searching := func(request *pb.SearchRequest) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			response, err := all.search(ctx, all.served, request)
			return notEmpty(len(response.GetResults()), err)
		}
	}
	return []call{
		{"a search without a query", all.token, searching(&pb.SearchRequest{})},
		{"a write without an id", all.token, func(ctx context.Context) (bool, error) {
			return upsert(ctx, all.served, &pb.Item{Title: "A lamp"})
		}},
		{"a malformed message", all.token, func(ctx context.Context) (bool, error) {
			method := "/shortlist.v1.SearchService/Search"
			return true, all.served.Invoke(ctx, method, []byte{0xff}, nil, grpc.ForceCodec(raw{}))
		}},
		{"an invalid page token", all.token, searching(
			&pb.SearchRequest{Query: query, PageSize: 2, PageToken: "AAAA"})},
		{"a page token of another bundle", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.SearchRequest{Query: query, PageSize: 2}
			other, err := all.search(ctx, all.plain, request)
			if err != nil {
				return false, err
			}
			request.PageToken = other.GetNextPageToken()
			return searching(request)(ctx)
		}},
		{"an unknown item", all.token, func(ctx context.Context) (bool, error) {
			request := &pb.GetItemRequest{ItemId: "nothing"}
			response, err := pb.NewCatalogServiceClient(all.served).GetItem(ctx, request)
			return response.GetItem() != nil, err
		}},
		{"a deadline that passes", all.token, func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Microsecond)
			defer cancel()
			return searching(&pb.SearchRequest{Query: query})(ctx)
		}},
		{"a search without a token", "", searching(&pb.SearchRequest{Query: query})},
		{"an unknown token", "stranger", searching(&pb.SearchRequest{Query: query})},
		{"a revoked token", all.oldToken, searching(&pb.SearchRequest{Query: query})},
		{"a write with a reader's token", all.readerToken, func(ctx context.Context) (bool, error) {
			return erase(ctx, all.served, "go-lamp")
		}},
		{"a rerank without a reranker", "", all.rerank(all.plain)},
		{"a write without a state directory", "", func(ctx context.Context) (bool, error) {
			return upsert(ctx, all.plain, &pb.Item{ItemId: "go-lamp", Title: "Brass reading lamp"})
		}},
		{"a bundle outside the root", all.token, all.load("..")},
		{"a damaged bundle", all.token, all.load("damaged")},
		{"a rollback without a previous bundle", all.token, all.rollBack},
	}
}

// outcome returns "OK" for an answer with content and "nothing" for an empty answer. For an error, it
// returns the code, the reason and the seconds to wait before a retry.
func outcome(tested call) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ok, err := tested.make(withToken(ctx, tested.token))
	if err != nil {
		failed := failureOf(err)
		text := failed.Code + " " + failed.Reason
		if failed.RetrySeconds > 0 {
			text += fmt.Sprintf(" %g", failed.RetrySeconds)
		}
		return strings.TrimSpace(text)
	}
	if !ok {
		return "nothing"
	}
	return "OK"
}

// callEverything calls every method once, provokes every error, and prints the outcome of each call.
// clients/python and clients/node have the same program.
func callEverything(arguments []string) {
	flags := flag.NewFlagSet("every", flag.ExitOnError)
	address := flags.String("address", "", "the address of a server with tokens and --state")
	admin := flags.String("admin-address", "", "the address of the AdminService of that server")
	plain := flags.String("plain-address", "", "the address of a server without tokens, state or reranker")
	raising := flags.String("raising-address", "", "the address of a server whose GetItem fails")
	raises := flags.String("raises", "", "the ids for which GetItem fails, separated by commas")
	token := flags.String("token", "", "a token with every role")
	reader := flags.String("reader-token", "", "a token with the role read")
	old := flags.String("old-token", "", "a revoked token")
	itemID := flags.String("item-id", "", "the id of an item")
	other := flags.String("other-bundle", "", "the path of a second bundle, below the bundle root")
	_ = flags.Parse(arguments) // exits on an error

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
	all := suite{
		served: connections[*address], plain: connections[*plain],
		admin: connections[*admin], raising: connections[*raising],
		token: *token, readerToken: *reader, oldToken: *old,
		itemID: *itemID, otherBundle: *other, raises: strings.Split(*raises, ","),
	}
	outcomes := map[string]string{}
	for _, calls := range [][]call{all.methods(), all.mistakes(), all.raised(), all.swaps()} {
		for _, tested := range calls {
			outcomes[tested.name] = outcome(tested)
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(outcomes)
}
