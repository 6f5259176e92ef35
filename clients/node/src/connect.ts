// How to reach the servers: plain text, TLS or mutual TLS, with retries and balancing.

import { readFileSync } from "node:fs";

import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";

export interface Tls {
  ca: string; // PEM file of the authorities that may have signed the server
  cert?: string; // PEM chain to show the server (mutual TLS); needs key
  key?: string; // PEM private key of cert
}

export function credentialsFor(tls?: Tls): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const read = (file?: string) => (file === undefined ? null : readFileSync(file));
  return credentials.createSsl(read(tls.ca), read(tls.key), read(tls.cert));
}

// A call that no server began may be made again, by another server where the address names several
// ("dns:search.example:50051"). That changes nothing twice: most methods only read, and a write that
// was made already is known by its request_id.
export const options: ClientOptions = {
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
