"""
Generated listeners, filter chains and route tables, and requests for them: what a real Envoy
answers is compared with what ``tasks.diagnosis.routing`` says.
"""
