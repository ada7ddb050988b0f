"""RabbitMQ: AMQP, which no other room uses, and the management API."""
