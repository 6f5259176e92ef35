// Read the details of an error from the google.rpc.Status in the trailers of the call.

import { type ServiceError, status } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

export interface Failure {
  code: string; // the canonical code
  message: string;
  reason: string; // shortlist.v1.ErrorReason without its prefix; "" if gRPC itself failed
  violations: { field: string; problem: string }[]; // only for INVALID_ARGUMENT
  retrySeconds?: number; // seconds to wait before a retry
}

export function failureOf(error: ServiceError): Failure {
  const failure: Failure = {
    code: status[error.code],
    message: error.details,
    reason: "",
    violations: [],
  };
  const [packed] = error.metadata.get("grpc-status-details-bin");
  if (!(packed instanceof Buffer)) return failure;
  for (const { typeUrl, value } of Status.decode(packed).details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
      case "google.rpc.ErrorInfo":
        failure.reason = ErrorInfo.decode(value).reason;
        break;
      case "google.rpc.BadRequest":
        failure.violations = BadRequest.decode(value).fieldViolations.map((violation) => ({
          field: violation.field,
          problem: violation.description,
        }));
        break;
      case "google.rpc.RetryInfo": {
        const delay = RetryInfo.decode(value).retryDelay;
        failure.retrySeconds = delay && delay.seconds + delay.nanos / 1e9;
      }
    }
  }
  return failure;
}

// Returns the reason of an error inside a response, such as the error of a write in a stream.
export function reasonOf({ details }: Status): string {
  const info = details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
  return info === undefined ? "" : ErrorInfo.decode(info.value).reason;
}
