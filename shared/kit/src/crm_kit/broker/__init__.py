"""RabbitMQ: the only module that uses AMQP, and the management API."""
