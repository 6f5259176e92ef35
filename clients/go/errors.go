package main

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// violation is a field of a request that breaks a rule of the contract.
type violation struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// failure is the error of a call, with its details.
type failure struct {
	Code         string      `json:"code"` // the canonical code
	Message      string      `json:"message"`
	Reason       string      `json:"reason"`     // shortlist.v1.ErrorReason without its prefix
	Violations   []violation `json:"violations"` // only for InvalidArgument
	RetrySeconds float64     `json:"retrySeconds,omitempty"`
}

// failureOf returns an error with its details, from the google.rpc.Status in the trailers of the call.
func failureOf(err error) failure {
	detailed := status.Convert(err)
	result := failure{
		Code: detailed.Code().String(), Message: detailed.Message(), Violations: []violation{},
	}
	for _, detail := range detailed.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			result.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, field := range detail.GetFieldViolations() {
				result.Violations = append(
					result.Violations, violation{field.GetField(), field.GetDescription()})
			}
		case *errdetails.RetryInfo:
			delay := detail.GetRetryDelay()
			result.RetrySeconds = float64(delay.GetSeconds()) + float64(delay.GetNanos())/1e9
		}
	}
	return result
}
