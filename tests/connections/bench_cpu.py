import asyncio, time, os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE","config.settings")
sys.path[:0]=["/work/main/platform","/work/main"]
import django; django.setup()
from django.conf import settings
from tests.connections.endpoint_server import EndpointServer
from connections import chat, queries
from core import outbound
async def main(ep, n, width):
    async with outbound.client(outbound.Limits(width=width)) as c:
        it=iter(range(n)); 
        async def w():
            for _ in it: await chat.complete(c, ep, [{"role":"user","content":"hello"*20}], {"temperature":0})
        await asyncio.gather(*(w() for _ in range(10)))
        it=iter(range(n))
        t0=time.thread_time(); w0=time.perf_counter()
        await asyncio.gather(*(w() for _ in range(width)))
        print("cpu ms/req", (time.thread_time()-t0)/n*1000, "wall", time.perf_counter()-w0)
with EndpointServer() as s:
    settings.OUTBOUND_ALLOW=[s.place]
    settings.OPENAI_BASE_URL=s.url("ok")
    ep=queries._default("m")
    asyncio.run(main(ep,1000,100))
    asyncio.run(main(ep,1000,100))
    asyncio.run(main(ep,1000,20))
    print(s.n_connections)
