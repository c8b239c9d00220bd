// Shows the API's description with Swagger UI, whose files the package fastapi-offline carries.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger", validatorUrl: null });
