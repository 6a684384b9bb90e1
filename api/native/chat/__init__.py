"""LLM calls as what was said: messages, answers, titles and transcripts, from stored bodies of any
API.
"""
