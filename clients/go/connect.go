package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/health" // lets round_robin watch the health of servers
)

// serviceConfig spreads calls over the servers of an address ("dns:///search.example:50051") whose
// health is SERVING, and retries UNAVAILABLE. Retries are safe: most methods only read, and the server
// recognises a repeated write by its request_id. (grpc-go before version 1.40 retries only with
// GRPC_GO_RETRY=on in the environment.)
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": ""},
	"methodConfig": [{
		"name": [{}],
		"retryPolicy": {
			"maxAttempts": 4,
			"initialBackoff": "0.1s",
			"maxBackoff": "1s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]
}`

// maxMessageBytes is the size of the largest answer that the client accepts. The default of grpc-go is
// 4 MiB, which a page of items with long texts exceeds.
const maxMessageBytes = 64 << 20

// connect prepares a connection: plain text without ca, TLS with ca, mutual TLS with ca, cert and key.
func connect(address, ca, cert, key string) (*grpc.ClientConn, error) {
	security := grpc.WithInsecure()
	if ca != "" {
		config, err := tlsConfig(ca, cert, key)
		if err != nil {
			return nil, err
		}
		security = grpc.WithTransportCredentials(credentials.NewTLS(config))
	}
	return grpc.Dial(
		address,
		security,
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
	)
}

func tlsConfig(ca, cert, key string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: the file contains no certificates", ca)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
