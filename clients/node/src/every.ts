// Call every method once, provoke every error, and print the outcome of each call.
//
// The flags name three servers:
// - a server with tokens and --state (--address and --admin-address); it has an item, a second bundle
//   and a revoked token;
// - a server without tokens, state or reranker (--plain-address);
// - a server whose GetItem fails with a different error for each id of --raises (--raising-address).
//
// clients/python and clients/go have the same program.

import { parseArgs } from "node:util";

import {
  type CallOptions,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";

import { credentialsFor } from "./connect.js";
import { failureOf, reasonOf } from "./errors.js";
import type { Status } from "./gen/google/rpc/status.js";
import { AdminServiceClient } from "./gen/shortlist/v1/admin_service.js";
import {
  BatchGetItemsRequest,
  CatalogServiceClient,
  DeleteItemsRequest,
  GetItemRequest,
  UpsertItemsRequest,
} from "./gen/shortlist/v1/catalog_service.js";
import {
  CurationServiceClient,
  ListCurationsRequest,
  SetCurationRequest,
} from "./gen/shortlist/v1/curation_service.js";
import { EventType } from "./gen/shortlist/v1/event.js";
import { FeedbackServiceClient, RecordEventsRequest } from "./gen/shortlist/v1/feedback_service.js";
import type { Item } from "./gen/shortlist/v1/item.js";
import { RecommendRequest, RecommendServiceClient } from "./gen/shortlist/v1/recommend_service.js";
import { RerankRequest, RerankServiceClient } from "./gen/shortlist/v1/rerank_service.js";
import {
  EmbedRequest,
  RetrievalServiceClient,
  RetrieveRequest,
  SimilarItemsRequest,
} from "./gen/shortlist/v1/retrieval_service.js";
import { SearchRequest, SearchServiceClient } from "./gen/shortlist/v1/search_service.js";
import { SuggestionServiceClient, SuggestRequest } from "./gen/shortlist/v1/suggestion_service.js";

const names = [
  ...["address", "admin-address", "plain-address", "raising-address", "raises"],
  ...["token", "reader-token", "old-token", "item-id", "other-bundle"],
];
const flags = parseArgs({
  options: Object.fromEntries(names.map((name) => [name, { type: "string" as const, default: "" }])),
}).values as Record<string, string>;
const flag = (name: string) => flags[name] ?? "";

const query = "usb c charger";
const lamp = { itemId: "node-lamp", title: "Brass reading lamp" };
const security = credentialsFor();
const searches = new SearchServiceClient(flag("address"), security);
const retrievals = new RetrievalServiceClient(flag("address"), security);
const reranks = new RerankServiceClient(flag("address"), security);
const feedback = new FeedbackServiceClient(flag("address"), security);
const suggestions = new SuggestionServiceClient(flag("address"), security);
const curations = new CurationServiceClient(flag("address"), security);
const recommendations = new RecommendServiceClient(flag("address"), security);
const items = new CatalogServiceClient(flag("address"), security);
const operator = new AdminServiceClient(flag("admin-address"), security);
const plainSearches = new SearchServiceClient(flag("plain-address"), security);
const plainReranks = new RerankServiceClient(flag("plain-address"), security);
const plainItems = new CatalogServiceClient(flag("plain-address"), security);
const raising = new CatalogServiceClient(flag("raising-address"), security);

type Answer<Response> = (error: ServiceError | null, response?: Response) => void;
type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: Answer<Response>,
) => unknown;

function withToken(token: string): Metadata {
  const metadata = new Metadata();
  if (token !== "") metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

const callOptions = () => ({ deadline: Date.now() + 30_000 });

function ask<Request, Response>(
  method: Unary<Request, Response>,
  request: Request,
  token = flag("token"),
  options: Partial<CallOptions> = callOptions(),
): Promise<Response> {
  return new Promise((resolve, reject) =>
    method(request, withToken(token), options, (error, response) =>
      response === undefined ? reject(error) : resolve(response),
    ),
  );
}

// The error of a write. It arrives inside a response; other errors end the call.
class WriteError extends Error {
  constructor(readonly status: Status) {
    super(status.message);
  }
}

async function write<Request>(
  stream: ClientDuplexStream<Request, { sequence: number; error?: Status | undefined }>,
  request: Request,
): Promise<boolean> {
  stream.end(request);
  let made = false;
  for await (const { sequence, error } of stream) {
    if (error !== undefined) throw new WriteError(error);
    made = sequence > 0;
  }
  return made;
}

function upsert(client: CatalogServiceClient, item: Partial<Item>): Promise<boolean> {
  const request = UpsertItemsRequest.fromPartial({ requestId: "node-1", item });
  return write(client.upsertItems(withToken(flag("token")), callOptions()), request);
}

function erase(token = flag("token")): Promise<boolean> {
  const request = DeleteItemsRequest.fromPartial({ requestId: "node-2", itemId: lamp.itemId });
  return write(items.deleteItems(withToken(token), callOptions()), request);
}

function search(fields: Partial<SearchRequest>, token = flag("token"), options = callOptions()) {
  return ask(searches.search.bind(searches), SearchRequest.fromPartial(fields), token, options);
}

async function streamSearch(): Promise<boolean> {
  const request = { search: SearchRequest.fromPartial({ query }) };
  let last = false;
  for await (const part of searches.streamSearch(request, withToken(flag("token")), callOptions())) {
    last = part.last;
  }
  return last;
}

async function otherPageToken(): Promise<string> {
  const request = SearchRequest.fromPartial({ query, pageSize: 2 });
  return (await ask(plainSearches.search.bind(plainSearches), request, "")).nextPageToken;
}

function malformed(): Promise<Buffer> {
  const as = (bytes: Buffer) => bytes;
  return new Promise((resolve, reject) =>
    searches.makeUnaryRequest(
      "/shortlist.v1.SearchService/Search",
      as,
      as,
      Buffer.from([0xff]),
      withToken(flag("token")),
      callOptions(),
      (error, response) => (response === undefined ? reject(error) : resolve(response)),
    ),
  );
}

const candidates = [{ candidate: { $case: "itemId" as const, value: flag("item-id") } }];
const pair = RerankRequest.fromPartial({ query, candidates });
const calls: Record<string, () => Promise<unknown>> = {
  Search: async () => (await search({ query })).results.length,
  StreamSearch: streamSearch,
  Retrieve: async () => {
    const request = RetrieveRequest.fromPartial({ input: { $case: "query", value: query } });
    return (await ask(retrievals.retrieve.bind(retrievals), request)).results.length;
  },
  SimilarItems: async () => {
    const request = SimilarItemsRequest.fromPartial({ itemId: flag("item-id") });
    return (await ask(retrievals.similarItems.bind(retrievals), request)).results.length;
  },
  Embed: async () => {
    const inputs = [{ input: { $case: "query" as const, value: query } }];
    const request = EmbedRequest.fromPartial({ inputs });
    return (await ask(retrievals.embed.bind(retrievals), request)).embeddings.length;
  },
  Rerank: async () => (await ask(reranks.rerank.bind(reranks), pair)).results.length,
  Suggest: async () => {
    const request = SuggestRequest.fromPartial({ prefix: query.slice(0, 3) });
    return (await ask(suggestions.suggest.bind(suggestions), request)).suggestions.length;
  },
  Recommend: async () => {
    const request = RecommendRequest.fromPartial({});
    return (await ask(recommendations.recommend.bind(recommendations), request)).results.length;
  },
  GetItem: async () => {
    const request = GetItemRequest.fromPartial({ itemId: flag("item-id") });
    return (await ask(items.getItem.bind(items), request)).item;
  },
  BatchGetItems: async () => {
    const request = BatchGetItemsRequest.fromPartial({ itemIds: [flag("item-id")] });
    return (await ask(items.batchGetItems.bind(items), request)).items.length;
  },
  UpsertItems: () => upsert(items, lamp),
  DeleteItems: () => erase(),
  SetCuration: async () => {
    const content = { $case: "synonyms" as const, value: { line: "plug, charger", language: "" } };
    const request = SetCurationRequest.fromPartial({ content });
    return (await ask(curations.setCuration.bind(curations), request)).curation;
  },
  ListCurations: async () => {
    const request = ListCurationsRequest.fromPartial({ query: "plug" });
    return (await ask(curations.listCurations.bind(curations), request)).curations.length;
  },
  RecordEvents: async () => {
    const type = EventType.EVENT_TYPE_VIEW;
    const view = { eventId: "node-3", time: new Date(), type, itemId: flag("item-id") };
    const request = RecordEventsRequest.fromPartial({ events: [view] });
    return (await ask(feedback.recordEvents.bind(feedback), request)).sequence;
  },
  GetStatus: async () => (await ask(operator.getStatus.bind(operator), {})).bundle,
  "a search without a query": () => search({}),
  "a write without an id": () => upsert(items, { title: "A lamp" }),
  "a malformed message": malformed,
  "an invalid page token": () => search({ query, pageSize: 2, pageToken: "AAAA" }),
  "a page token of another bundle": async () =>
    search({ query, pageSize: 2, pageToken: await otherPageToken() }),
  "an unknown item": () =>
    ask(items.getItem.bind(items), GetItemRequest.fromPartial({ itemId: "nothing" })),
  "a deadline that passes": () => search({ query }, flag("token"), { deadline: Date.now() + 1 }),
  "a search without a token": () => search({ query }, ""),
  "an unknown token": () => search({ query }, "stranger"),
  "a revoked token": () => search({ query }, flag("old-token")),
  "a write with a reader's token": () => erase(flag("reader-token")),
  "a rerank without a reranker": () => ask(plainReranks.rerank.bind(plainReranks), pair),
  "a write without a state directory": () => upsert(plainItems, lamp),
  "a bundle outside the root": () => ask(operator.loadBundle.bind(operator), { path: ".." }),
  "a damaged bundle": () => ask(operator.loadBundle.bind(operator), { path: "damaged" }),
  "a rollback without a previous bundle": () => ask(operator.rollBack.bind(operator), {}),
};
for (const name of flag("raises").split(",")) {
  calls[`raised: ${name}`] = () =>
    ask(raising.getItem.bind(raising), GetItemRequest.fromPartial({ itemId: name }));
}
// These calls come last, because they change the bundle that the calls above depend on.
calls["LoadBundle"] = async () =>
  (await ask(operator.loadBundle.bind(operator), { path: flag("other-bundle") })).bundle;
calls["RollBack"] = async () => (await ask(operator.rollBack.bind(operator), {})).bundle;

// Returns "OK" for an answer with content and "nothing" for an empty answer. For an error, returns the
// code, the reason and the seconds to wait before a retry.
async function outcome(call: () => Promise<unknown>): Promise<string> {
  try {
    return (await call()) ? "OK" : "nothing";
  } catch (error) {
    if (error instanceof WriteError) {
      return `${status[error.status.code]} ${reasonOf(error.status)}`;
    }
    const { code, reason, retrySeconds } = failureOf(error as ServiceError);
    return `${code} ${reason} ${retrySeconds ?? ""}`.trim();
  }
}

const outcomes: Record<string, string> = {};
for (const [name, call] of Object.entries(calls)) outcomes[name] = await outcome(call);
console.log(JSON.stringify(outcomes));
for (const client of [searches, retrievals, reranks, suggestions, feedback]) client.close();
for (const client of [items, operator]) client.close();
for (const client of [plainSearches, plainReranks, plainItems, raising]) client.close();
