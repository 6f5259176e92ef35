package main

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// violation is one field of a request that broke a rule.
type violation struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// failure is what a failed call says.
type failure struct {
	Code         string      `json:"code"` // the canonical code
	Message      string      `json:"message"`
	Reason       string      `json:"reason"`     // shortlist.v1.ErrorReason without its prefix
	Violations   []violation `json:"violations"` // for InvalidArgument
	RetrySeconds float64     `json:"retrySeconds,omitempty"`
}

func failureOf(err error) failure {
	said := status.Convert(err)
	found := failure{
		Code: said.Code().String(), Message: said.Message(), Violations: []violation{},
	}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			found.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, one := range detail.GetFieldViolations() {
				found.Violations = append(
					found.Violations, violation{one.GetField(), one.GetDescription()})
			}
		case *errdetails.RetryInfo:
			delay := detail.GetRetryDelay()
			found.RetrySeconds = float64(delay.GetSeconds()) + float64(delay.GetNanos())/1e9
		}
	}
	return found
}
