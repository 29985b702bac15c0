"""Work off the loop: tasks, the chunks that they are made of, and the executors that run them."""
