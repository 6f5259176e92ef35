// Searches the items of one brand below a price, and prints one JSON object; with --stream, one of
// each message of StreamSearch:
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

const given = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: "string", default: "127.0.0.1:50051" },
    ca: { type: "string" },
    cert: { type: "string" },
    key: { type: "string" },
    brand: { type: "string", default: "" },
    below: { type: "string", default: "1000" },
    "page-size": { type: "string", default: "5" },
    stream: { type: "boolean", default: false },
  },
});
const { address, ca, cert, key, brand, below } = given.values;

function affordable(brand: string, price: number): Filter {
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
  const deadline = Date.now() + 10_000; // always set one: the server gives up when it has passed
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

// The first message, where there are two, is the page to show until the other one is there.
async function streamed(client: SearchServiceClient, request: SearchRequest): Promise<Message[]> {
  const metadata = new Metadata();
  metadata.set("x-request-id", randomUUID());
  const call = client.streamSearch({ search: request }, metadata, { deadline: Date.now() + 10_000 });
  const messages: Message[] = [];
  for await (const { phase, last, search } of call) {
    if (search === undefined) continue;
    messages.push({ phase: searchPhaseToJSON(phase), last, page: printable(search) });
  }
  return messages;
}

function printable(response: SearchResponse): object {
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
    query: given.positionals.join(" "),
    pageSize: Number(given.values["page-size"]),
    filter: affordable(brand, Number(below)),
  });
  const found = given.values.stream
    ? await streamed(client, request)
    : printable(await search(client, request));
  console.log(JSON.stringify(found));
} catch (error) {
  console.log(JSON.stringify(failureOf(error as ServiceError)));
  process.exitCode = 1;
} finally {
  client.close();
}
