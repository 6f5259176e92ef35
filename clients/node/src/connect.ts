// Connections: plain text, TLS or mutual TLS, with retries and balancing.

import { readFileSync } from "node:fs";

import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";

export interface Tls {
  ca: string; // PEM file of trusted certificate authorities
  cert?: string; // PEM certificate chain of the client (mutual TLS); needs key
  key?: string; // PEM private key of cert
}

export function credentialsFor(tls?: Tls): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const read = (file?: string) => (file === undefined ? null : readFileSync(file));
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
}

// Options that retry UNAVAILABLE and accept large answers. If the address names several servers ("dns:search.example:50051"),
// the retry goes to another server. Retries are safe: most methods only read, and the server recognises
// a repeated write by its request_id.
export const options: ClientOptions = {
  // The default is 4 MiB, which a page of items with long texts exceeds.
  "grpc.max_receive_message_length": 64 * 2 ** 20,
  "grpc.service_config": JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.1s",
          maxBackoff: "1s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
  }),
};
