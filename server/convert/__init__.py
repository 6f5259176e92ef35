"""Convert between protobuf messages of the contract (`shortlist.v1`) and engine dataclasses."""
