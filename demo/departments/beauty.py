"""Beauty: hair, skin and oral care."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Auralie": 1.5, "Dermova": 1.3, "Purelle": 1.1, "Fernbloom": 1.0,
        "Sonara": 1.1, "Kindskin": 0.9, "Soapworks": 0.7, "Dailycare": 0.65,
    },
    leaves=(
        leaf(
            "Beauty > Hair > Hair Dryers", 52,
            nouns="hair dryer, ionic dryer",
            words="blow drier, hair blower, blowdryer, hair styling gun",
            needs="dry my hair quickly after a shower, salon look at home in the morning, "
            "get rid of frizz while drying, go out with wet hair no more",
            colour="black, white, pink, red", power="1200 watt, 1800 watt, 2200 watt",
            feature="quiet, foldable, with diffuser", use="travel, curly hair, salon",
        ),
        leaf(
            "Beauty > Hair > Shampoo", 11,
            nouns="shampoo, hair shampoo",
            words="hair wash, hair cleanser, hair soap, scalp wash",
            needs="get rid of dandruff, my scalp is itchy, "
            "clean greasy roots, keep dyed strands from fading",
            varies="capacity",
            capacity="200 ml, 400 ml, 750 ml",
            hair="dry hair, oily hair, coloured hair, curly hair",
            scent="coconut, mint, lavender, fragrance free", feature="sulfate free, vegan, organic",
        ),
        leaf(
            "Beauty > Hair > Hair Straighteners", 58,
            nouns="hair straightener, straightening iron",
            words="flat iron, hair tongs, hair press, straightening wand",
            needs="get smooth sleek locks, tame my curls before a party, "
            "make wavy locks flat, style my fringe in the morning",
            colour="black, pink, white, gold", plates="ceramic, titanium, tourmaline",
            feature="cordless, fast, temperature control", use="travel, thick hair, short hair",
        ),
        leaf(
            "Beauty > Skin > Face Creams", 24,
            nouns="face cream, moisturizer",
            words="facial lotion, skin hydrator, day lotion, anti aging balm",
            needs="my cheeks are dry in winter, reduce wrinkles around my eyes, "
            "wake up with softer skin, flaky skin on my forehead",
            varies="capacity",
            capacity="30 ml, 50 ml, 100 ml", skin="dry skin, oily skin, sensitive skin",
            time="day, night", feature="fragrance free, vegan, organic",
        ),
        leaf(
            "Beauty > Skin > Sunscreen", 17,
            nouns="sunscreen, sun lotion",
            words="sunblock, suncream, uv protection, tanning protection",
            needs="not get burned at the beach, protect my baby from uv rays, "
            "spend all day outside in july, fair skin on a tropical holiday",
            varies="capacity",
            capacity="50 ml, 100 ml, 200 ml", factor="spf 30, spf 50",
            skin="dry skin, oily skin, sensitive skin", use="kids, face, sport",
            feature="waterproof, fragrance free, reef safe",
        ),
        leaf(
            "Beauty > Skin > Body Lotions", 13,
            nouns="body lotion, body cream",
            words="body butter, skin milk, after shower balm, full body hydrator",
            needs="my legs feel dry after shaving, soft skin after a bath, "
            "something for rough elbows, nice smelling care after a shower",
            varies="capacity",
            capacity="200 ml, 400 ml, 750 ml", skin="dry skin, normal skin, sensitive skin",
            scent="coconut, vanilla, lavender, fragrance free", feature="vegan, organic, cooling",
        ),
        leaf(
            "Beauty > Oral Care > Electric Toothbrushes", 62,
            nouns="electric toothbrush, sonic toothbrush",
            words="power brush, battery tooth cleaner, teeth cleaning device, dental brush",
            needs="clean my teeth better, my dentist says i brush too hard, "
            "remove plaque every morning, fun dental care for my child",
            colour="white, black, pink, blue", feature="quiet, pressure sensor, fast charging",
            fit="kids, adults", use="travel, sensitive gums, whitening",
        ),
        leaf(
            "Beauty > Oral Supplies > Toothbrush Heads", 18,
            nouns="toothbrush head, brush head",
            words="replacement bristles, spare brushes, refill bristles, dental refill",
            needs="replace the worn bristles on my electric brush, new tops for my sonic brush, "
            "my brush tip is old and frayed, spares for the family brush",
            varies="pack", goes_with="Electric Toothbrushes",
            pack="2 pack, 4 pack, 8 pack", bristles="soft, medium, charcoal",
            fits="Sonara, Auralie, Purelle", feature="plaque removing, whitening, compostable",
        ),
    ),
)  # fmt: skip
