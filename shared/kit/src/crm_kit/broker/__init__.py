"""RabbitMQ: the one module that speaks AMQP, and its management API."""
