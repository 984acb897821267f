"""OpenLLMetry's instrumentation of the Anthropic client."""

import agent
import calls_of_anthropic
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

agent.run(AnthropicInstrumentor(), calls_of_anthropic.go)
