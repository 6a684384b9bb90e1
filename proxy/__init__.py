"""The data plane (workers), the control plane's pipeline (collector), and the roots that start
them.
"""
