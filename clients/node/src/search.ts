// Search the items of one brand below a price and print the results as JSON. With --stream it calls
// StreamSearch and prints both messages.
//
//   node build/search.js --brand Voltix --below 50 "usb c charger"

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

import { Metadata, type ServiceError } from "@grpc/grpc-js";

import { credentialsFor, options } from "./connect.js";
import { failureOf } from "./errors.js";
import { Filter } from "./gen/shortlist/v1/filter.js";
import {
  SearchRequest,
  type SearchResponse,
  SearchServiceClient,
  searchPhaseToJSON,
} from "./gen/shortlist/v1/search_service.js";

const flags = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: "string", default: "127.0.0.1:50051" },
    ca: { type: "string" },
    cert: { type: "string" },
    key: { type: "string" },
    brand: { type: "string", default: "" },
    below: { type: "string", default: "1000" },
    "order-by": { type: "string", default: "" },
    "page-size": { type: "string", default: "5" },
    stream: { type: "boolean", default: false },
  },
});
const { address, ca, cert, key, brand, below } = flags.values;

function brandBelow(brand: string, price: number): Filter {
  return Filter.fromPartial({
    kind: {
      $case: "andGroup",
      value: {
        filters: [
          {
            kind: {
              $case: "equals",
              value: { field: "brand", value: { kind: { $case: "text", value: brand } } },
            },
          },
          {
            kind: {
              $case: "range",
              value: {
                field: "price",
                interval: {
                  upper: { $case: "below", value: { kind: { $case: "number", value: price } } },
                },
              },
            },
          },
        ],
      },
    },
  });
}

function search(client: SearchServiceClient, request: SearchRequest): Promise<SearchResponse> {
  const metadata = new Metadata();
  metadata.set("x-request-id", randomUUID());
  const deadline = Date.now() + 10_000; // always set a deadline: the server stops when it passes
  return new Promise((resolve, reject) =>
    client.search(request, metadata, { deadline }, (error, response) =>
      error ? reject(error) : resolve(response),
    ),
  );
}

interface Message {
  phase: string;
  last: boolean;
  page: object;
}

// Returns both messages. A user interface would show the first message until the second arrives.
async function streamSearch(client: SearchServiceClient, request: SearchRequest): Promise<Message[]> {
  const metadata = new Metadata();
  metadata.set("x-request-id", randomUUID());
  const call = client.streamSearch({ search: request }, metadata, { deadline: Date.now() + 10_000 });
  const messages: Message[] = [];
  for await (const { phase, last, search } of call) {
    if (search === undefined) continue;
    messages.push({ phase: searchPhaseToJSON(phase), last, page: page(search) });
  }
  return messages;
}

function page(response: SearchResponse): object {
  const results = response.results.map(({ rank, score, itemId, item }) => ({
    rank,
    score,
    id: itemId,
    title: item?.title,
    price: item?.price,
  }));
  return { results, matched: response.matchedCount };
}

const tls = ca === undefined ? undefined : { ca, cert, key };
const client = new SearchServiceClient(address, credentialsFor(tls), options);
try {
  const request = SearchRequest.fromPartial({
    query: flags.positionals.join(" "),
    pageSize: Number(flags.values["page-size"]),
    filter: brandBelow(brand, Number(below)),
    orderBy: flags.values["order-by"],
  });
  const output = flags.values.stream
    ? await streamSearch(client, request)
    : page(await search(client, request));
  console.log(JSON.stringify(output));
} catch (error) {
  console.log(JSON.stringify(failureOf(error as ServiceError)));
  process.exitCode = 1;
} finally {
  client.close();
}
