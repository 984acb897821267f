"""OpenInference's instrumentation of the OpenAI client."""

import agent
import calls_of_openai
from openinference.instrumentation.openai import OpenAIInstrumentor

agent.run(OpenAIInstrumentor(), calls_of_openai.go, agent.OPENINFERENCE)
