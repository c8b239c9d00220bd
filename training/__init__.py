"""The parts of ``data.py``, ``model.py`` and ``train.py``; imports none of the three.

======================  ===================================================================
``sources.py``          the corpus, and where it is read from
``corruption.py``       sentences made wrong on purpose, for the pretext task
``examples.py``         sentences as tokens and labels, batches of them as tensors
``names.py``            names of persons, exchanged for others
``sampler.py``          which sentences share a batch
``weights.py``          where pretrained weights and their tokenizer come from
``dequantization.py``   float weights from an int8 ONNX file
``last_layer.py``       a hook that lets the last layer compute the first token only
``validation.py``       the predictions for the validation set
``metrics.py``          what these predictions are worth
``provenance.py``       what a checkpoint says about itself
``checks.py``           what is refused before training
``optimization.py``     the optimizer, learning rates by layer
``schedule.py``         the learning rate of each step
``precision.py``        in which precision, and with which library, matrices are multiplied
``adversarial.py``      embeddings moved in the direction that raises the loss most
``averaging.py``        the mean of the weights over the last epochs
``trainer.py``          Lightning's trainer
``callbacks.py``        seeding, stopping, checkpoints, timing, learning curves
``tracking.py``         Weights & Biases, CSV files
``report.py``           ``training_report.json`` and the table on the terminal
``grid.py``             the ranking at the end of a grid of runs
``pictures.py``         the pictures of a finished run
======================  ===================================================================
"""
