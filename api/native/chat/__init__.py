"""LLM calls as conversations: messages, answers, titles and transcripts, from stored bodies of any
API.
"""
