"""What is said in every sender's conversation, to whichever provider."""

SYSTEM = "You are brief."
QUESTION = "What is the capital of France? «é» 漢字"
PARCEL = "Where is my parcel 7?"
OPENAI_MODEL, ANTHROPIC_MODEL = "gpt-4o-mini", "claude-sonnet-4-5"
REFUSED_MODELS = ("busy", "broken")
