"""What the README and the chapters say about speed and quality, measured.

==================== ===============================================================================
``training``         an epoch as it is trained, against padding to 128 and MKL's products
``quality``          MCC over several seeds, trained and exported
``mistakes``         what a trained model gets wrong, by phenomenon and by source
``corpus_baseline``  how far TF-IDF n-grams go on the corpus of this repository
``inference``        PyTorch and ONNX Runtime, fp32 and int8, padded and packed
``cold_start``       from the start of a process to its first answer
``command_line``     a file of 200,000 lines, against the session alone
``serving``          this API beside other servers of the same model, under load
``scaling``          what a second process gives, and a projection to more cores
``batch_ray``        the Ray job, against the predictor in one process
``lambda_cost``      what a million predictions cost on AWS Lambda
``forwarder``        log events per second that the forwarder makes into documents
``walk``             what a newcomer does, in a fresh clone, with its times and its output
``fill_readme``      writes the tables and samples of the README and of ``docs/`` from the results
==================== ===============================================================================

Each is run as ``python -m benchmarks.NAME`` and writes ``benchmarks/results/NAME.json`` (see
``results``, ``documents`` and ``machine``); ``inputs`` has what several of them are given.
``servers``, ``server_process`` and ``peer_weights`` are parts of ``serving``, ``cpu_times`` of
``scaling``, ``inference_ways`` and ``matrix_product`` of ``inference``, ``walk_commands`` of
``walk``, ``quality_groups`` and ``quality_documents`` of ``quality``; ``result_rows``,
``chapter_tables``, ``training_tables`` and ``walk_samples`` make what ``fill_readme`` writes;
``serving_peers/`` holds the scripts of the other servers, which run in environments of their own.
"""
