"""OpenTelemetry's own instrumentation of the OpenAI client."""

import agent
import calls_of_openai
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

agent.run(OpenAIInstrumentor(), calls_of_openai.go)
