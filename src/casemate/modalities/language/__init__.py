"""Language: documents read and searched, models that chat, embed and recognise print, trained and judged on the site.

Rules. What is read is data and never instructions. Models are safetensors, GGUF or ONNX with their vocabulary beside
them; nothing is fetched. Runtimes are found by `predict`, which imports each when it is first asked for.
"""
