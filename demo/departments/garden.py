"""Tools and garden: power tools, garden care, outdoor cooking."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Ironhart": 1.45, "Torqon": 1.3, "Greenridge": 1.15, "Emberly": 1.1,
        "Workmate": 1.0, "Fieldhand": 0.9, "Handyman": 0.75, "Toolbarn": 0.65,
    },
    leaves=(
        leaf(
            "Garden > Power Tools > Cordless Drills", 105,
            nouns="cordless drill, drill driver",
            words="battery screwdriver, power borer, hole maker, electric screw gun",
            needs="hang shelves on a brick wall, put together flat pack furniture, "
            "make holes in concrete, drive screws without sore hands",
            varies="power",
            power="12 volt, 18 volt, 24 volt", feature="brushless, compact, with case",
            type="hammer, impact, standard", use="masonry, furniture, metal",
        ),
        leaf(
            "Garden > Power Tools > Sanders", 72,
            nouns="sander, orbital sander",
            words="sanding machine, wood smoother, grinding tool, surface polisher",
            needs="smooth a wooden table before painting, strip old varnish from a door, "
            "refinish the floor boards, make rough planks smooth",
            varies="power",
            power="200 watt, 300 watt, 450 watt", feature="cordless, low dust, lightweight",
            type="belt, detail, random orbit", use="furniture, floors, metal",
        ),
        leaf(
            "Garden > Tool Supplies > Drill Bits", 21,
            nouns="drill bit, drill bit set",
            words="boring tips, hole cutter, twist points, auger",
            needs="tip for making holes in tile, mine went blunt on concrete, "
            "something sharp to go through steel, assortment of tips for wood and masonry",
            varies="pack", goes_with="Cordless Drills",
            pack="5 piece, 15 piece, 40 piece", material="titanium, cobalt, carbide",
            use="masonry, wood, metal, tile", feature="quick change, magnetic, with case",
        ),
        leaf(
            "Garden > Lawn > Lawn Mowers", 290,
            nouns="lawn mower, grass mower",
            words="grass cutter, turf trimmer, yard cutter, meadow machine",
            needs="cut the grass in my backyard, keep the yard neat, "
            "the turf is knee high again, trim a large yard without fumes",
            varies="width",
            width="32 cm, 38 cm, 46 cm", type="battery, petrol, robot, manual",
            colour="green, red, black", feature="self propelled, quiet, foldable",
        ),
        leaf(
            "Garden > Lawn > Hedge Trimmers", 98,
            nouns="hedge trimmer, hedge cutter",
            words="bush clipper, shrub shears, topiary tool, branch clipper",
            needs="shape the bushes along the fence, cut back overgrown shrubs, "
            "make the privet look tidy, reach the top of tall bushes",
            varies="length",
            length="45 cm, 55 cm, 65 cm", type="battery, petrol, wired",
            feature="lightweight, low vibration, telescopic", colour="green, black, orange",
        ),
        leaf(
            "Garden > Watering > Garden Hoses", 35,
            nouns="garden hose, water hose",
            words="yard pipe, irrigation tube, sprinkler line, outdoor tubing",
            needs="water the plants behind the house, wash the car in the driveway, "
            "fill a paddling pool, get water to the far flower bed",
            varies="length",
            length="10 m, 20 m, 30 m, 50 m", material="rubber, pvc, fabric",
            feature="extendable, kink free, with reel", colour="green, black, yellow",
        ),
        leaf(
            "Garden > Watering > Watering Cans", 22,
            nouns="watering can, plant can",
            words="sprinkling jug, flower jug, plant pitcher, garden jug",
            needs="give my flowers a drink, care for houseplants on the windowsill, "
            "water seedlings gently, pour water on balcony pots",
            colour="green, copper, grey, white", material="metal, plastic, copper",
            capacity="1 l, 5 l, 10 l", feature="long spout, lightweight, rust free",
        ),
        leaf(
            "Garden > Outdoor Cooking > Grills", 230,
            nouns="grill, barbecue grill",
            words="bbq, barbie, cookout stove, char broiler",
            needs="cook burgers outside with friends, summer party in the backyard, "
            "smoky ribs at home, cook sausages at the park",
            varies="type",
            type="charcoal, gas, electric, pellet", size="portable, medium, large",
            colour="black, red, silver", feature="with lid, with side shelf, foldable",
        ),
        leaf(
            "Garden > Outdoor Supplies > Grill Covers", 27,
            nouns="grill cover, grill hood cover",
            words="bbq tarp, barbecue protector, cookout wrap, bbq jacket",
            needs="keep the rain off my barbecue, stop my bbq from rusting in winter, "
            "shield the cookout from leaves and snow, store my barbecue outside",
            varies="width", goes_with="Grills",
            width="75 cm, 120 cm, 150 cm", material="polyester, vinyl, canvas",
            colour="black, grey, brown", feature="waterproof, uv resistant, windproof",
        ),
    ),
)  # fmt: skip
