"""The Anthropic client itself, which speaks OpenTelemetry without any instrumentation."""

import agent
import calls_of_anthropic

agent.run(None, calls_of_anthropic.go)
