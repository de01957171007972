//go:build tools

package evaluators

import (
	_ "github.com/OpenSLO/oslo/cmd/oslo"
	_ "github.com/slok/sloth/cmd/sloth"
)
