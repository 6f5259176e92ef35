"""Furniture: living room, bedroom, soft furnishings, lighting."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Oakline": 1.5, "Velmora": 1.4, "Nordhem": 1.1, "Casadel": 1.0,
        "Homestep": 0.95, "Lumafield": 1.0, "Boxwood": 0.75, "Easynest": 0.65,
    },
    leaves=(
        leaf(
            "Furniture > Living Room > Sofas", 620,
            nouns="sofa, loveseat",
            words="couch, settee, divan, davenport",
            needs="somewhere for the whole family to watch tv, seat three guests in the lounge, "
            "take a nap in the living room, replace the old worn seat in front of the tv",
            colour="grey, navy, beige, green, brown", material="velvet, leather, linen, polyester",
            seats="2 seater, 3 seater, corner", feature="washable, with storage, convertible",
        ),
        leaf(
            "Furniture > Living Room > Armchairs", 260,
            nouns="armchair, accent chair",
            words="recliner, easy chair, wingback, lounge seat",
            needs="comfortable seat for reading by the window, relax with a book and put feet up, "
            "one seat for grandpa to watch tv, cosy corner seat for the nursery",
            colour="grey, teal, beige, yellow, brown", material="velvet, leather, linen, polyester",
            feature="swivel, rocking, with footrest", style="modern, classic, scandinavian",
        ),
        leaf(
            "Furniture > Living Room > Coffee Tables", 150,
            nouns="coffee table, living room table",
            words="cocktail table, low table, sofa side table, lounge tables",
            needs="put my drinks down in front of the tv, surface for magazines and remotes, "
            "centerpiece for the lounge, place for snacks on movie night",
            varies="material",
            material="oak, walnut, glass, marble, pine", shape="round, square, rectangular",
            feature="with storage, lift top, nesting", width="60 cm, 80 cm, 110 cm",
        ),
        leaf(
            "Furniture > Bedroom > Bed Frames", 310,
            nouns="bed frame, platform bed",
            words="bedstead, bed base, sleeping frame, bunk",
            needs="get my mattress off the floor, furnish the guest room for overnight visitors, "
            "stop the slats from squeaking at night, store clothes under where i sleep",
            varies="bed_size",
            bed_size="single size, double size, queen size, king size",
            material="oak, pine, metal, velvet", colour="white, black, grey, natural",
            feature="with storage, with headboard, low",
        ),
        leaf(
            "Furniture > Bedroom > Mattresses", 420,
            nouns="mattress, foam mattress",
            words="bed cushion, futon, sleep surface, bedding slab",
            needs="my back hurts when i wake up, sleep cool in summer, "
            "not feel my partner turning over at night, softer night of sleep",
            varies="bed_size",
            bed_size="single size, double size, queen size, king size",
            material="memory foam, latex, pocket spring", firmness="soft, medium, firm",
            feature="cooling, hypoallergenic, roll packed",
        ),
        leaf(
            "Furniture > Bedroom > Nightstands", 95,
            nouns="nightstand, bedside table",
            words="night table, bedside cabinet, bedroom end table, bedside locker",
            needs="place for my alarm clock and glasses at night, put a lamp beside the bed, "
            "keep a book and phone within reach when sleeping, small drawers next to where i sleep",
            colour="white, black, natural, grey", material="oak, pine, metal",
            drawers="1 drawer, 2 drawer, 3 drawer", feature="floating, with charging, narrow",
        ),
        leaf(
            "Furniture > Textiles > Sofa Covers", 48,
            nouns="sofa cover, sofa slipcover",
            words="couch protector, settee throw, furniture cover, stretch couch sheet",
            needs="stop the cat from scratching the couch, hide stains on my old settee, "
            "protect the couch from dog hair, give an old couch a new look",
            goes_with="Sofas",
            colour="grey, beige, navy, brown", seats="2 seater, 3 seater, corner",
            material="velvet, cotton, polyester", feature="washable, waterproof, stretch",
        ),
        leaf(
            "Furniture > Textiles > Mattress Protectors", 32,
            nouns="mattress protector, mattress cover",
            words="bed wetting sheet, bed pad, under sheet, bed encasement",
            needs="keep the bed dry when my toddler has accidents, keep dust mites out of the bed, "
            "prevent sweat stains on a new bed, shield the bed from spills",
            varies="bed_size", goes_with="Mattresses",
            bed_size="single size, double size, queen size, king size",
            material="cotton, bamboo, polyester", feature="waterproof, cooling, quilted",
        ),
        leaf(
            "Furniture > Textiles > Curtains", 44,
            nouns="curtain, window curtain",
            words="drapes, window drapery, window coverings, window hanging",
            needs="keep the morning sun out of the bedroom, stop neighbours looking in, "
            "darken the nursery for naps, make the window look nicer",
            colour="grey, white, navy, beige, burgundy", material="linen, velvet, polyester",
            length="140 cm, 180 cm, 240 cm", feature="blackout, sheer, insulated",
        ),
        leaf(
            "Furniture > Textiles > Rugs", 120,
            nouns="rug, area rug",
            words="carpet, floor mat, floor covering, floor textile",
            needs="warm up a cold wooden floor, soft ground for the baby to play on, "
            "make the living room floor cosy, reduce echo in an empty room",
            colour="grey, beige, blue, red, multicolour", material="wool, cotton, jute, polyester",
            size="120 x 170 cm, 160 x 230 cm, 200 x 300 cm", feature="washable, non-slip, shaggy",
        ),
        leaf(
            "Furniture > Lighting > Desk Lamps", 36,
            nouns="desk lamp, table lamp",
            words="reading light, study light, work light, bankers light",
            needs="see better when i study at night, light for my home office, "
            "read late without waking my wife, light up my sewing corner",
            colour="black, white, silver, gold", material="metal, wood, plastic",
            feature="dimmable, rechargeable, foldable", bulb="led, halogen, smart",
        ),
        leaf(
            "Furniture > Lighting > Floor Lamps", 78,
            nouns="floor lamp, standing lamp",
            words="tall light, uplighter, corner lights, torchiere",
            needs="brighten a dark corner of the room, soft evening light behind the couch, "
            "light up a room without ceiling fixtures, warm light next to my reading seat",
            colour="black, white, gold, silver", material="metal, wood, rattan",
            feature="dimmable, with shelves, arched", bulb="led, halogen, smart",
        ),
    ),
)  # fmt: skip
