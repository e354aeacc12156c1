"""`lapse serve`: two films on a page, and the same over REST.

    browser, client --access--> app --films--> decoder processes     bytes -> pixels
                                   --pairs--> model process          two films -> comparison

The server process decodes no image and loads no model. Films are in memory, for a limited time; no
file is written. FastAPI and uvicorn are the extra "serve".
"""
